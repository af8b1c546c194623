// Package lint holds the rules of the house as tests. A rule says what it
// forbids and why; a violation prints both with file and line.
package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
)

const module = "ninefold"

// source is one file of the tree.
type source struct {
	path string // relative to the top, with slashes
	dir  string // its package path inside the module
	text string
	// Go files only:
	ast  *ast.File
	fset *token.FileSet
}

func (s *source) isGo() bool   { return s.ast != nil }
func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// isTool reports whether the file belongs to a program or test that people at
// work on Ninefold run, not to what is installed.
func (s *source) isTool() bool { return s.isTest() || s.dir == "tests" || below(s.dir, "tests") }

func (s *source) imports() []string {
	var out []string
	for _, i := range s.ast.Imports {
		out = append(out, strings.Trim(i.Path.Value, `"`))
	}
	return out
}

// below reports whether the slash path p is dir or inside it.
func below(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

var tree = sync.OnceValues(func() ([]*source, error) {
	const top = "../.."
	var out []*source
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, p)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			switch {
			case rel == "bin", rel == "out", rel == "dist", d.Name() == ".git", d.Name() == "testdata":
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !(readable(rel)) {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		s := &source{path: rel, dir: path.Dir(rel), text: string(text)}
		if strings.HasSuffix(rel, ".go") {
			s.fset = token.NewFileSet()
			s.ast, err = parser.ParseFile(s.fset, rel, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
		}
		out = append(out, s)
		return nil
	})
	return out, err
})

// readable reports whether a file is text that the rules look at.
func readable(rel string) bool {
	switch path.Ext(rel) {
	case ".go", ".c", ".h", ".sh", ".toml", ".md":
		return true
	}
	return below(rel, "scripts") || rel == "Makefile" || rel == ".ci/run"
}

func sources(t *testing.T) []*source {
	t.Helper()
	s, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	if len(s) < 20 {
		t.Fatalf("only %d files found: the tree is not where this test looks for it", len(s))
	}
	return s
}

// goSources are the Go files; tools tells whether tests and the programs in
// tests/ are wanted too.
func goSources(t *testing.T, tools bool) []*source {
	var out []*source
	for _, s := range sources(t) {
		if s.isGo() && (tools || !s.isTool()) {
			out = append(out, s)
		}
	}
	return out
}

// findings collects violations of one rule.
type findings struct {
	t     *testing.T
	why   string
	lines []string
}

func rule(t *testing.T, why string) *findings {
	f := &findings{t: t, why: why}
	t.Cleanup(f.report)
	return f
}

func (f *findings) at(s *source, n ast.Node, format string, args ...any) {
	f.add("%s: %s", s.fset.Position(n.Pos()), fmt.Sprintf(format, args...))
}

func (f *findings) add(format string, args ...any) {
	f.lines = append(f.lines, fmt.Sprintf(format, args...))
}

func (f *findings) report() {
	if len(f.lines) == 0 {
		return
	}
	sort.Strings(f.lines)
	f.t.Errorf("%d violations; the rule stands because %s\n%s", len(f.lines), f.why, strings.Join(f.lines, "\n"))
}
