package compat

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// Own is one package of a runtime, its finishing package included, with its
// facts.
type Own struct {
	Package *pkg.Package
	Facts   *Facts
}

// has reports whether the package holds path, in /usr or where / and /usr are
// one.
func (o Own) has(path string) bool {
	for _, p := range []string{path, "usr/" + path} {
		_, found := slices.BinarySearchFunc(o.Package.Entries, p, func(e pkg.Entry, p string) int { return strings.Compare(e.Path, p) })
		if found {
			return true
		}
	}
	return false
}

// Base is what a runtime would be merged on.
type Base interface {
	// Library returns the symbol versions that the library with this soname
	// defines, and false when the linker would not find one.
	Library(soname string, abi ABI) ([]string, bool, error)
	// Exists reports whether the base has this path, relative to its root.
	Exists(path string) (bool, error)
}

// Missing is one thing that a runtime needs and neither brings nor finds.
type Missing struct {
	// Package and File need it; other packages may too.
	Package string `json:"package"`
	File    string `json:"file"`
	// Library is the soname; empty when Interpreter is missing.
	Library string `json:"library,omitempty"`
	// Version is the symbol version; empty when the library itself is missing.
	Version     string `json:"version,omitempty"`
	Interpreter string `json:"interpreter,omitempty"`
}

// String says what is missing and who needs it.
func (m Missing) String() string {
	what := m.Library
	switch {
	case m.Interpreter != "":
		what = "/" + m.Interpreter
	case m.Version != "":
		what = m.Version + " of " + m.Library
	}
	return fmt.Sprintf("%s, needed by package %s (/%s)", what, m.Package, m.File)
}

// Check returns everything that the packages need and neither they nor base
// have, each library and version once, sorted. An empty result means that they
// can run on base.
func Check(own []Own, base Base) ([]Missing, error) {
	c := checker{base: base, own: map[string][]Library{}, dirs: map[string]bool{}, asked: map[string]answer{}, told: map[string]bool{}}
	for _, o := range own {
		for _, l := range o.Facts.Libraries {
			for _, name := range l.Names {
				k := libraryKey(name, l.ABI)
				c.own[k] = append(c.own[k], l)
			}
		}
		for _, d := range o.Facts.Dirs {
			c.dirs[d] = true
		}
	}
	for _, o := range own {
		for _, n := range o.Facts.Needs {
			if err := c.need(o.Package.Name, n); err != nil {
				return nil, err
			}
		}
	}
	if err := c.interpreters(own); err != nil {
		return nil, err
	}
	slices.SortFunc(c.missing, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(a.Library, b.Library), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Interpreter, b.Interpreter))
	})
	return c.missing, nil
}

type checker struct {
	base    Base
	own     map[string][]Library
	dirs    map[string]bool // the linker's search, beyond the default
	asked   map[string]answer
	missing []Missing
	told    map[string]bool
}

type answer struct {
	versions []string
	found    bool
}

func libraryKey(name string, abi ABI) string { return name + "\x00" + string(abi) }

// need looks for one library where the linker would: among the packages' own,
// which lie over the base's, and then in the base.
func (c *checker) need(by string, n Need) error {
	var a answer
	for _, l := range c.own[libraryKey(n.Library, n.ABI)] {
		if c.visible(l.Dir, n) {
			a.found = true
			a.versions = append(a.versions, l.Versions...)
		}
	}
	if !a.found {
		var err error
		if a, err = c.ask(n); err != nil {
			return err
		}
	}
	if !a.found {
		c.tell(Missing{Package: by, File: n.File, Library: n.Library}, n.ABI)
		return nil
	}
	for _, v := range n.Version {
		if !slices.Contains(a.versions, v) {
			c.tell(Missing{Package: by, File: n.File, Library: n.Library, Version: v}, n.ABI)
		}
	}
	return nil
}

func (c *checker) ask(n Need) (answer, error) {
	k := libraryKey(n.Library, n.ABI)
	if a, ok := c.asked[k]; ok {
		return a, nil
	}
	versions, found, err := c.base.Library(n.Library, n.ABI)
	if err != nil {
		return answer{}, fmt.Errorf("look for %s in the base: %w", n.Library, err)
	}
	a := answer{versions, found}
	c.asked[k] = a
	return a, nil
}

// visible reports whether a file with need n finds a library in dir. Its own
// directory counts: programs with private libraries load those by path before
// anything needs them.
func (c *checker) visible(dir string, n Need) bool {
	return defaultDir(dir) || c.dirs[dir] || dir == path.Dir(n.File) || slices.Contains(n.Search, dir)
}

func (c *checker) interpreters(own []Own) error {
	for _, o := range own {
		for in, script := range o.Facts.Interpreters {
			if slices.ContainsFunc(own, func(o Own) bool { return o.has(in) }) {
				continue
			}
			ok, err := c.base.Exists(in)
			if err != nil {
				return fmt.Errorf("look for /%s in the base: %w", in, err)
			}
			if !ok {
				c.tell(Missing{Package: o.Package.Name, File: script, Interpreter: in}, "")
			}
		}
	}
	return nil
}

func (c *checker) tell(m Missing, abi ABI) {
	k := strings.Join([]string{m.Library, m.Version, m.Interpreter, string(abi)}, "\x00")
	if !c.told[k] {
		c.told[k] = true
		c.missing = append(c.missing, m)
	}
}

// defaultDir reports whether the linker of Debian and of most others searches
// dir, relative to the root, without being told.
func defaultDir(dir string) bool {
	dir = strings.TrimPrefix(dir, "usr/")
	switch dir {
	case "lib", "lib64", "lib32", "libx32", "local/lib":
		return true
	}
	for _, parent := range []string{"lib/", "local/lib/"} {
		if rest, ok := strings.CutPrefix(dir, parent); ok {
			return !strings.Contains(rest, "/") && (strings.Contains(rest, "-linux-gnu") || strings.Contains(rest, "-linux-musl"))
		}
	}
	return false
}
