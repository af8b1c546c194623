package plan

import (
	"slices"
	"strconv"
	"strings"
)

// args hands out the words of a line one after the other. The first failure
// stays; what is handed out after it is empty.
type args struct {
	verb    string
	words   []word
	profile bool // the line stands in a profile's namespace
	err     error
}

func (a *args) fail(format string, args ...any) {
	if a.err == nil {
		a.err = invalid(a.verb+": "+format, args...)
	}
}

// one takes the next word; what names it for people.
func (a *args) one(what string) string {
	if len(a.words) == 0 {
		a.fail("the word %s is missing", what)
	}
	if a.err != nil {
		return ""
	}
	w := a.words[0].text
	a.words = a.words[1:]
	return w
}

// options takes the words that begin with -, up to the first that does not or
// to --, and calls set for each letter.
func (a *args) options(known string, set func(byte) bool) {
	for len(a.words) > 0 && a.words[0].plain && len(a.words[0].text) > 1 && a.words[0].text[0] == '-' {
		letters := a.words[0].text[1:]
		a.words = a.words[1:]
		if letters == "-" {
			return
		}
		for i := range len(letters) {
			if strings.IndexByte(known, letters[i]) < 0 {
				a.fail("unknown option -%s; known are -%s", letters[i:i+1], known)
				return
			}
			set(letters[i])
		}
	}
}

// pair is a word of the form key=value; set reports whether it could read the
// value.
type pair struct {
	key string // with the =
	set func(string) bool
}

// pairs takes key=value words as long as there are any with an =.
func (a *args) pairs(known ...pair) {
	var seen []string
	for len(a.words) > 0 && a.err == nil {
		key, value, ok := strings.Cut(a.words[0].text, "=")
		if !ok || strings.Contains(key, "/") {
			return
		}
		i := slices.IndexFunc(known, func(p pair) bool { return p.key == key+"=" })
		switch {
		case i < 0:
			var keys []string
			for _, p := range known {
				keys = append(keys, p.key)
			}
			a.fail("unknown word %s%s", quote(key+"="), hint(key, keys))
		case slices.Contains(seen, key):
			a.fail("%s= stands twice", key)
		case !known[i].set(value):
			a.fail("bad value %s of %s=", quote(value), key)
		}
		seen = append(seen, key)
		a.words = a.words[1:]
	}
}

func (a *args) text(p *string) func(string) bool {
	return func(v string) bool { *p = v; return v != "" }
}

func (a *args) octal(p *uint32) func(string) bool {
	return func(v string) bool {
		n, err := strconv.ParseUint(v, 8, 32)
		*p = uint32(n)
		return err == nil && n <= 0o7777
	}
}

func (a *args) id(p *uint32) func(string) bool {
	return func(v string) bool {
		n, err := strconv.ParseUint(v, 10, 32)
		*p = uint32(n)
		return err == nil && n != noID
	}
}

func (a *args) size(p *int64) func(string) bool {
	return func(v string) bool {
		n, err := strconv.ParseInt(v, 10, 64)
		*p = n
		return err == nil && n > 0
	}
}

func (a *args) number(what string, p *uint32) {
	if w := a.one(what); a.err == nil && !a.id(p)(w) {
		a.fail("%s is not an id: %s", what, quote(w))
	}
}
