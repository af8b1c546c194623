package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"ninefold/cmd/internal/exit"
)

// The manual's table of exit codes is this program's.
func TestManualListsTheExitCodes(t *testing.T) {
	b, err := os.ReadFile("../../docs/sessionctl.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| code | meaning |\n|---|---|\n")
	for _, row := range exit.Table {
		code := fmt.Sprint(row.Code)
		if row.Code == exit.Signal {
			code = "128+N"
		}
		fmt.Fprintf(&want, "| %s | %s |\n", code, row.Meaning)
	}
	if !strings.Contains(string(b), want.String()) {
		t.Errorf("docs/sessionctl.md does not hold this table:\n%s", want.String())
	}
}

// Every command and flag is in the manual, and every flag of the manual exists.
func TestManualKnowsEveryCommandAndFlag(t *testing.T) {
	b, err := os.ReadFile("../../docs/sessionctl.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	a := &app{}
	flags := map[string]bool{"--help": true}
	for _, c := range commands(a.root()) {
		if c.Runnable() && !c.HasSubCommands() && !strings.Contains(text, "`"+c.CommandPath()) {
			t.Errorf("docs/sessionctl.md does not mention %s", c.CommandPath())
		}
		for _, f := range flagsOf(c) {
			flags["--"+f] = true
			if !strings.Contains(text, "--"+f) {
				t.Errorf("docs/sessionctl.md does not mention --%s of %s", f, c.CommandPath())
			}
		}
	}
	for _, f := range regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(text, -1) {
		if !flags[f] {
			t.Errorf("docs/sessionctl.md mentions %s, which no command has", f)
		}
	}
}

// Every command says in one line what it is for.
func TestHelpIsWorded(t *testing.T) {
	for _, c := range commands((&app{}).root()) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 90 {
			t.Errorf("%s: short help %q", c.CommandPath(), c.Short)
		}
	}
}
