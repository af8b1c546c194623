package plan

import (
	"os"
	"strings"
	"testing"
)

// blocks returns the fenced blocks of a kind in the manual.
func blocks(t *testing.T, text, kind string) []string {
	t.Helper()
	var found []string
	for _, part := range strings.Split(text, "```"+kind+"\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		found = append(found, block)
	}
	if found == nil {
		t.Fatalf("no block of kind %s", kind)
	}
	return found
}

func TestManual(t *testing.T) {
	data, err := os.ReadFile("../../docs/namespace-file.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, block := range blocks(t, text, "ns") {
		ops, err := ParseLines("manual", []byte(block), Variables("dev", alice))
		if err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
		s := imageSpec()
		for _, op := range ops {
			s.Lines = append(s.Lines, Line{Op: op})
		}
		if _, err := Compile(s); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
	}
	for _, block := range blocks(t, text, "plan") {
		p, err := Parse("manual", []byte(block))
		if err != nil {
			t.Fatal(err)
		}
		if err := Validate(p); err != nil {
			t.Error(err)
		}
		if got := Print(p); got != block {
			t.Errorf("the canonical form is\n%s", got)
		}
	}
	for _, verb := range lineVerbs {
		if !strings.Contains(text, "\n### "+verb+" ") {
			t.Errorf("the verb %s has no section", verb)
		}
	}
	words := append([]string{"limit", "user", "privileges", "namespaces", "class"}, mountTypes[:]...)
	for name := range Variables("", User{}) {
		words = append(words, "$"+name)
	}
	for _, typ := range mountTypes {
		words = append(words, mountOptions(typ)...)
	}
	for _, word := range words {
		if !strings.Contains(text, "`"+word) {
			t.Errorf("%s is not explained", word)
		}
	}
}
