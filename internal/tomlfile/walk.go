package tomlfile

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// walker goes through a document beside the type that it will be decoded
// into. It finds what the decoder would ignore and where everything stands.
type walker struct {
	file   string
	parser unstable.Parser
	root   reflect.Type // nil: anything goes
	places map[string]Position
	tables map[string]int // elements seen of an array of tables
	errs   Errors
	syntax error
	// reported keeps a table that is unknown from being reported again by
	// each of its subtables.
	reported map[string]bool
}

func walk(file string, data []byte, root reflect.Type) *walker {
	w := &walker{
		file: file, root: root, places: map[string]Position{},
		tables: map[string]int{}, reported: map[string]bool{},
	}
	w.parser.Reset(data)
	at := place{typ: root}
	for w.parser.NextExpression() {
		switch n := w.parser.Expression(); n.Kind {
		case unstable.Table, unstable.ArrayTable:
			at = w.header(n)
		case unstable.KeyValue:
			w.keyValue(at, n)
		}
	}
	w.syntax = w.parser.Error()
	slices.SortStableFunc(w.errs, func(a, b *Error) int {
		return cmp.Or(a.Line-b.Line, a.Col-b.Col)
	})
	return w
}

// place is a table of the document and what it is decoded into.
type place struct {
	path []string
	typ  reflect.Type // nil: anything goes
	skip bool         // below an unknown key
}

func (p place) key() string { return strings.Join(p.path, "\x00") }

func (p place) child(name string, t reflect.Type) place {
	return place{path: append(slices.Clip(p.path), name), typ: t, skip: p.skip}
}

// header resolves [a.b] or [[a.b]].
func (w *walker) header(n *unstable.Node) place {
	at := place{typ: w.root}
	it := n.Key()
	for it.Next() {
		at = w.descend(at, it.Node())
		last := it.IsLast()
		if last && n.Kind == unstable.ArrayTable {
			if at.typ != nil && deref(at.typ).Kind() != reflect.Slice && deref(at.typ).Kind() != reflect.Interface {
				w.wrongType(at, it.Node(), "an array of tables")
				at.skip = true
			}
			w.tables[at.key()]++
		} else if last && at.typ != nil && !isTable(at.typ) {
			w.wrongType(at, it.Node(), "a table")
			at.skip = true
		}
		// A header inside an array of tables belongs to its latest element.
		if count := w.tables[at.key()]; count > 0 {
			at = at.child(strconv.Itoa(count-1), elem(at.typ))
			w.mark(at, it.Node())
		}
	}
	return at
}

func (w *walker) keyValue(at place, n *unstable.Node) {
	it := n.Key()
	var key *unstable.Node
	for it.Next() {
		key = it.Node()
		at = w.descend(at, key)
	}
	w.value(at, key, n.Value())
}

func (w *walker) value(at place, key, v *unstable.Node) {
	if at.skip {
		return
	}
	if at.typ != nil && !accepts(at.typ, v.Kind) {
		w.wrongType(at, key, describeNode(v.Kind))
		return
	}
	it := v.Children()
	switch v.Kind {
	case unstable.InlineTable:
		for it.Next() {
			if it.Node().Kind == unstable.KeyValue {
				w.keyValue(at, it.Node())
			}
		}
	case unstable.Array:
		for i := 0; it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			el := at.child(strconv.Itoa(i), elem(at.typ))
			w.places[el.key()] = w.places[at.key()]
			w.mark(el, it.Node())
			w.value(el, key, it.Node())
			i++
		}
	}
}

// descend goes from a table to what key names in it.
func (w *walker) descend(at place, key *unstable.Node) place {
	name := string(key.Data)
	next := at.child(name, nil)
	t := at.typ
	if t != nil {
		t = deref(t)
	}
	switch {
	case at.skip || t == nil || t.Kind() == reflect.Interface:
	case t.Kind() == reflect.Map:
		next.typ = t.Elem()
	case t.Kind() == reflect.Struct && !isText(t):
		f, ok := fields(t)[name]
		next.typ = f
		if !ok {
			w.unknown(at, next, key, t)
			next.skip = true
		}
	}
	w.mark(next, key)
	return next
}

func (w *walker) unknown(at, next place, key *unstable.Node, t reflect.Type) {
	if w.reported[next.key()] {
		return
	}
	w.reported[next.key()] = true
	msg := fmt.Sprintf("unknown key %q", string(key.Data))
	if table := tableName(at.path); table != "" {
		msg += " in [" + table + "]"
	}
	names := make([]string, 0, 16)
	for name := range fields(t) {
		names = append(names, name)
	}
	slices.Sort(names)
	if near := Nearest(string(key.Data), names); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	} else if len(names) > 0 && len(names) <= 20 {
		msg += "; known are " + strings.Join(names, ", ")
	}
	w.errs = append(w.errs, &Error{File: w.file, Position: w.position(key), Msg: msg, Err: ErrUnknownKey})
}

func (w *walker) wrongType(at place, key *unstable.Node, have string) {
	if at.skip {
		return
	}
	pos := w.places[at.key()]
	if pos.Line == 0 {
		pos = w.position(key)
	}
	w.errs = append(w.errs, &Error{File: w.file, Position: pos,
		Msg: fmt.Sprintf("%q is %s; it has to be %s", tableName(at.path), have, describeType(at.typ))})
}

func (w *walker) mark(at place, n *unstable.Node) {
	if n.Raw.Length > 0 {
		w.places[at.key()] = w.position(n)
	}
}

func (w *walker) position(n *unstable.Node) Position {
	start := w.parser.Shape(n.Raw).Start
	return Position{start.Line, start.Column}
}

// tableName writes a path as a person would: without the indices of arrays.
func tableName(path []string) string {
	var parts []string
	for _, p := range path {
		if _, err := strconv.Atoi(p); err != nil {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ".")
}
