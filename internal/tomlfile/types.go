package tomlfile

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

var (
	textType = reflect.TypeFor[encoding.TextUnmarshaler]()
	timeType = reflect.TypeFor[time.Time]()
)

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// elem returns the type of a slice's elements, or nil for "anything".
func elem(t reflect.Type) reflect.Type {
	if t == nil {
		return nil
	}
	if t = deref(t); t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		return t.Elem()
	}
	return nil
}

func isText(t reflect.Type) bool {
	return t != timeType && (t.Implements(textType) || reflect.PointerTo(t).Implements(textType))
}

func isTable(t reflect.Type) bool {
	t = deref(t)
	k := t.Kind()
	return !isText(t) && t != timeType && (k == reflect.Struct || k == reflect.Map || k == reflect.Interface)
}

// fields maps the keys that a struct reads to their types. An embedded struct
// without a tag gives its own keys.
func fields(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "" && deref(f.Type).Kind() == reflect.Struct:
			for k, v := range fields(deref(f.Type)) {
				out[k] = v
			}
		case !f.IsExported():
		case name == "":
			out[f.Name] = f.Type
		default:
			out[name] = f.Type
		}
	}
	return out
}

// accepts reports whether a value of kind k can be decoded into t. Where in
// doubt it says yes and leaves the verdict to the decoder.
func accepts(t reflect.Type, k unstable.Kind) bool {
	t = deref(t)
	if t.Kind() == reflect.Interface {
		return true
	}
	if isText(t) {
		return k != unstable.Array && k != unstable.InlineTable
	}
	switch k {
	case unstable.String:
		return t.Kind() == reflect.String
	case unstable.Bool:
		return t.Kind() == reflect.Bool
	case unstable.Integer:
		return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64
	case unstable.Float:
		return t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64
	case unstable.Array:
		return t.Kind() == reflect.Slice || t.Kind() == reflect.Array
	case unstable.InlineTable:
		return isTable(t)
	}
	return true
}

func describeNode(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return "a string"
	case unstable.Bool:
		return "true or false"
	case unstable.Integer:
		return "a whole number"
	case unstable.Float:
		return "a number with a fraction"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	}
	return "a date or time"
}

func describeType(t reflect.Type) string {
	if t = deref(t); isText(t) {
		return "a string"
	}
	switch k := t.Kind(); {
	case k == reflect.String:
		return "a string"
	case k == reflect.Bool:
		return "true or false"
	case k >= reflect.Int && k <= reflect.Uintptr:
		return "a whole number"
	case k == reflect.Float32 || k == reflect.Float64:
		return "a number"
	case k == reflect.Slice || k == reflect.Array:
		if isTable(t.Elem()) {
			return "a list of tables"
		}
		return "a list"
	}
	return "a table"
}
