package lint

import (
	"bytes"
	"go/ast"
	"go/format"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const maxLines = 500

func TestFilesAreAboutOneThing(t *testing.T) {
	f := rule(t, "a file that long holds more than one subject: split it")
	for _, s := range sources(t) {
		if ext := path.Ext(s.path); ext == ".md" || ext == ".toml" {
			continue
		}
		if n := strings.Count(s.text, "\n"); n >= maxLines {
			f.add("%s: %d lines, %d are too many", s.path, n, maxLines)
		}
	}
}

func TestPackageNamesSayWhatTheyHold(t *testing.T) {
	f := rule(t, "a junk drawer attracts junk: name the package after its one noun")
	for _, s := range goSources(t, true) {
		switch strings.TrimSuffix(s.ast.Name.Name, "_test") {
		case "util", "utils", "common", "helper", "helpers", "misc", "shared", "base", "lib", "tools", "system":
			f.add("%s: package %s", s.path, s.ast.Name.Name)
		}
	}
}

func TestGofmt(t *testing.T) {
	f := rule(t, "one form for all: run gofmt -w")
	for _, s := range goSources(t, true) {
		out, err := format.Source([]byte(s.text))
		if err != nil {
			f.add("%s: %v", s.path, err)
		} else if !bytes.Equal(out, []byte(s.text)) {
			f.add("%s: not gofmt-clean", s.path)
		}
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	f := rule(t, "what is missing is an issue, not a comment")
	marks := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
	for _, s := range sources(t) {
		if below(s.path, "tests/lint") {
			continue
		}
		for i, line := range strings.Split(s.text, "\n") {
			if m := marks.FindString(line); m != "" {
				f.add("%s:%d: %s", s.path, i+1, m)
			}
		}
	}
}

func TestNoPanic(t *testing.T) {
	f := rule(t, "an error is returned to somebody who can say what to do; a panic that cannot happen says on its line why")
	for _, s := range goSources(t, false) {
		explained := map[int]bool{}
		for _, c := range s.ast.Comments {
			explained[s.fset.Position(c.Pos()).Line] = true
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" && !explained[s.fset.Position(n.Pos()).Line] {
					f.at(s, n, "panic")
				}
			}
			return true
		})
	}
}

func TestOnlyMainExits(t *testing.T) {
	f := rule(t, "an exit in a library skips every undo")
	for _, s := range goSources(t, false) {
		selectors(s, func(pkg, name string, n ast.Node) {
			exits := pkg == "os" && name == "Exit" || pkg == "log" && strings.HasPrefix(name, "Fatal")
			if exits && !(s.ast.Name.Name == "main" && path.Base(s.path) == "main.go" && name == "Exit") {
				f.at(s, n, "%s.%s outside a main.go", pkg, name)
			}
		})
	}
}

func TestSkipsBecomeFailures(t *testing.T) {
	f := rule(t, "a test that silently did not run proves nothing: package tests/needs fails where everything must run")
	for _, s := range goSources(t, true) {
		if s.dir == "tests/needs" {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				if x, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "tb", "b", "f"}, x.Name) {
					f.at(s, n, "%s outside of tests/needs", sel.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestScriptsStopAtErrors(t *testing.T) {
	f := rule(t, "a script that goes on after a failure reports success it did not have")
	for _, s := range sources(t) {
		if (below(s.path, "scripts") || s.path == ".ci/run") && !regexp.MustCompile(`(?m)^set -eu(o pipefail)?$`).MatchString(s.text) {
			f.add("%s: no set -eu", s.path)
		}
	}
}
