package lint

import (
	"go/ast"
	"go/token"
	"testing"
)

func TestExportedNamesAreDocumented(t *testing.T) {
	f := rule(t, "a doc comment is the contract: units, errors, ownership, and why it is safe")
	for _, s := range goSources(t, false) {
		if s.ast.Name.Name == "main" {
			continue
		}
		line := func(p token.Pos) int { return s.fset.Position(p).Line }
		grouped := 0 // the line after a function whose comment speaks for the next, too
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				documented := d.Doc != nil || line(d.Pos()) == grouped
				if documented {
					grouped = line(d.End()) + 1
				} else if d.Name.IsExported() && receiverExported(d) {
					f.at(s, d, "func %s", d.Name.Name)
				}
			case *ast.GenDecl:
				genDecl(f, s, d)
			}
		}
	}
}

func genDecl(f *findings, s *source, d *ast.GenDecl) {
	if d.Tok == token.IMPORT {
		return
	}
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
				f.at(s, spec, "type %s", spec.Name.Name)
			}
		case *ast.ValueSpec:
			for _, n := range spec.Names {
				if n.IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
					f.at(s, spec, "%s %s", d.Tok, n.Name)
				}
			}
		}
	}
}

// receiverExported is true for functions and for methods of exported types.
// Methods that satisfy a well-known interface need no words of their own.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	switch d.Name.Name {
	case "Error", "Unwrap", "Is", "As", "String", "Len", "Less", "Swap", "Read", "Write", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON":
		return false
	}
	t := d.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if g, ok := t.(*ast.IndexExpr); ok {
		t = g.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	f := rule(t, "the package comment is where a reader starts")
	documented, seen := map[string]bool{}, map[string]bool{}
	for _, s := range goSources(t, true) {
		seen[s.dir] = true
		if s.ast.Doc != nil {
			documented[s.dir] = true
		}
	}
	for dir := range seen {
		if !documented[dir] {
			f.add("%s: no package comment", dir)
		}
	}
}
