package recipe

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// The manual explains every key, no other, and its examples are recipes.
func TestManual(t *testing.T) {
	data, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	var examples []*Recipe
	for i, rest := range strings.Split(text, "```toml\n")[1:] {
		example, _, _ := strings.Cut(rest, "```")
		r, err := Parse(fmt.Sprintf("example %d", i+1), []byte(example))
		if err != nil {
			t.Fatal(err)
		}
		examples = append(examples, r)
	}
	examples = append(examples, mustParse(t, "version = 1\nname = \"debian-base\"\n[source]\nsuite = \"trixie\"\n"))
	set, err := NewSet(examples...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range examples {
		if _, err := set.Chain(r.Name); err != nil {
			t.Error(err)
		}
	}

	unexplained := map[string]bool{}
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) > 2 && strings.HasPrefix(line, "| ") {
			for _, cell := range cells[1:3] {
				if key := strings.TrimSpace(cell); strings.Count(key, "`") == 2 && key[0] == '`' && key[len(key)-1] == '`' && !strings.ContainsAny(key, `"[/`) {
					unexplained[strings.Trim(key, "`")] = true
				}
			}
		}
	}
	for _, value := range []string{"true", "false", "0"} {
		delete(unexplained, value) // defaults, not keys
	}
	var keys func(reflect.Type, bool)
	keys = func(typ reflect.Type, listed bool) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			key := f.Tag.Get("toml")
			if key == "" || key == "-" {
				continue
			}
			delete(unexplained, key)
			kind := f.Type.Kind()
			row := "\n| `" + key + "` | "
			if listed {
				row = "| `" + key + "` | "
			}
			switch {
			case kind == reflect.Slice && strings.Contains(text, "\n### [["+key+"]]\n"):
				keys(f.Type.Elem(), false)
			case kind == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
				if !strings.Contains(text, "\n| `"+key+"` | `") {
					t.Errorf("[[declare.%s]] is not explained", key)
				}
				keys(f.Type.Elem(), true)
			case !listed && (kind == reflect.Struct || kind == reflect.Map):
				if !strings.Contains(text, "\n### ["+key+"]\n") {
					t.Errorf("[%s] has no section", key)
				}
				if kind == reflect.Struct {
					keys(f.Type, false)
				}
			case !strings.Contains(text, row):
				t.Errorf("%s is not explained", key)
			}
		}
	}
	keys(reflect.TypeFor[Recipe](), false)
	for key := range unexplained {
		t.Errorf("%s is explained, and no key", key)
	}
}

func mustParse(t *testing.T, text string) *Recipe {
	t.Helper()
	r, err := Parse("text", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
