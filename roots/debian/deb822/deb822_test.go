package deb822

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func all(text string) ([]Paragraph, error) {
	r := NewReader(text)
	var out []Paragraph
	for {
		p, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, append(Paragraph(nil), p...))
	}
}

func TestReader(t *testing.T) {
	got, err := all("\n# comment\nPackage: bash\nDescription: a shell\n more\n .\n text\nEmpty:\n \t \n\nPackage:zsh\r\nDepends:\n a,\n# why\n b\nLast: x")
	if err != nil {
		t.Fatal(err)
	}
	want := []Paragraph{
		{{"Package", "bash"}, {"Description", "a shell\n more\n .\n text"}, {"Empty", ""}},
		{{"Package", "zsh"}, {"Depends", "a,\n# why\n b"}, {"Last", "x"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got[0].Get("package") != "bash" || got[0].Get("Version") != "" {
		t.Error("Get does not find what is there")
	}
	if lines := Lines(got[1].Get("Depends")); !reflect.DeepEqual(lines, []string{"a,", "b"}) {
		t.Errorf("lines are %q", lines)
	}
}

func TestRaw(t *testing.T) {
	r := NewReader("\n\nA: 1\nB: 2\n\n# c\nA: 3\n\n")
	for _, want := range []string{"A: 1\nB: 2\n", "A: 3\n"} {
		if _, err := r.Next(); err != nil || r.Raw() != want {
			t.Errorf("got %q, %v; want %q", r.Raw(), err, want)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no colon":       "Package bash",
		"continuation":   " text",
		"twice":          "A: 1\na: 2",
		"space in name":  "A B: 1",
		"name with dash": "-A: 1",
		"no name":        ": 1",
		"control bytes":  "A\x01: 1",
		"many fields":    manyFields(),
		"long value":     "A: 1\n" + strings.Repeat(" "+strings.Repeat("x", 1<<16)+"\n", 130),
	} {
		if _, err := all(text); !errors.Is(err, ErrSyntax) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func manyFields() string {
	var b strings.Builder
	for i := range maxFields + 1 {
		b.WriteString(strings.Repeat("A", i+1) + ": 1\n")
		if i > maxName-3 {
			break
		}
	}
	for i := range maxFields {
		b.WriteString(strings.Repeat("B", i+1) + ": 1\n")
		if i > maxName-3 {
			break
		}
	}
	return b.String()
}

func FuzzReader(f *testing.F) {
	f.Add("A: 1\n b\n# c\n d\n\nB: 2\n")
	f.Add("\r\n \n: :\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := NewReader(text)
		for {
			p, err := r.Next()
			if err != nil {
				return
			}
			if len(p) == 0 || !strings.Contains(text, r.Raw()) {
				t.Fatalf("empty paragraph or foreign text %q", r.Raw())
			}
			for _, f := range p {
				if !strings.Contains(r.Raw(), f.Name+":") || !strings.Contains(r.Raw(), f.Value) {
					t.Fatalf("%q is not in %q", f, r.Raw())
				}
				Lines(f.Value)
			}
		}
	})
}
