package profile

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"ninefold/namespaces/plan"
)

// The manual explains every key, and its example is one.
func TestManual(t *testing.T) {
	data, err := os.ReadFile("../../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	_, example, _ := strings.Cut(text, "```toml\n")
	example, _, _ = strings.Cut(example, "```")
	if _, err := Parse("writing.toml", []byte(example)); err != nil {
		t.Error(err)
	}
	var keys func(reflect.Type)
	keys = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			key := f.Tag.Get("toml")
			switch {
			case key == "" || key == "-":
			case f.Type.Kind() == reflect.Struct || f.Type.Kind() == reflect.Map:
				if !strings.Contains(text, "\n### ["+key+"]\n") {
					t.Errorf("[%s] has no section", key)
				}
				if f.Type.Kind() == reflect.Struct {
					keys(f.Type)
				}
			case !strings.Contains(text, "\n| `"+key+"` | "):
				t.Errorf("%s is not explained", key)
			}
		}
	}
	keys(reflect.TypeFor[Profile]())
	for _, name := range plan.LimitNames() {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the limit %s is not explained", name)
		}
	}
	for _, name := range defaultCapabilities {
		if !strings.Contains(text, name) {
			t.Errorf("%s is not named", name)
		}
	}
}
