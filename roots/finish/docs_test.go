package finish

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

func TestDocumentListsTheStepsInOrder(t *testing.T) {
	text, err := os.ReadFile("../../docs/finishing-steps.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)`").FindAllSubmatch(text, -1) {
		listed = append(listed, string(m[1]))
	}
	if !slices.Equal(listed, Names()) {
		t.Errorf("the document lists\n%q\nand the steps are\n%q", listed, Names())
	}
	for _, name := range Names() {
		if Describe(name) == "" {
			t.Errorf("step %s has no description", name)
		}
	}
}
