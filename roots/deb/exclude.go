package deb

import (
	"fmt"
	"path"
	"strings"

	"ninefold/roots/recipe"
)

// excluder decides what is left out of a package.
type excluder struct{ e recipe.Exclude }

func newExcluder(e recipe.Exclude) (*excluder, error) {
	for _, p := range e.Paths {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("exclude pattern %q: %w", p, err)
		}
	}
	return &excluder{e}, nil
}

// out reports whether a path that is no directory is left out. Directories go
// when they have lost all that was in them.
func (x *excluder) out(p string) bool {
	if x.e.Docs {
		if rest, ok := strings.CutPrefix(p, "usr/share/doc/"); ok {
			// Licences ask for the copyright file to go with the software; it
			// may be reached through a link in the place of the directory.
			return strings.Contains(rest, "/") && path.Base(rest) != "copyright"
		}
		if hasAnyPrefix(p, "usr/share/man/", "usr/share/info/", "usr/share/gtk-doc/", "usr/share/doc-base/", "usr/share/lintian/") {
			return true
		}
	}
	if x.e.Locales {
		if rest, ok := strings.CutPrefix(p, "usr/share/locale/"); ok {
			if lang, _, below := strings.Cut(rest, "/"); below && !english(lang) {
				return true
			}
		}
		if rest, ok := strings.CutPrefix(p, "usr/share/man/"); ok {
			if lang, _, below := strings.Cut(rest, "/"); below && !strings.HasPrefix(lang, "man") && !english(lang) {
				return true
			}
		}
	}
	return x.byPattern(p)
}

// byPattern reports whether a pattern matches the path or one above it.
func (x *excluder) byPattern(p string) bool {
	for _, pattern := range x.e.Paths {
		pattern = strings.Trim(pattern, "/")
		for q := p; q != "." && q != "/"; q = path.Dir(q) {
			if ok, _ := path.Match(pattern, q); ok {
				return true
			}
		}
	}
	return false
}

func english(lang string) bool {
	lang, _, _ = strings.Cut(lang, ".")
	return lang == "C" || lang == "en" || strings.HasPrefix(lang, "en_") || strings.HasPrefix(lang, "en@")
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
