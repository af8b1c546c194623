package finish

import (
	"path"
	"strings"
	"sync"

	"ninefold/roots/pkg"
)

// linked remembers what objects link to, by content.
var linked sync.Map // pkg.Digest -> library

func libraryOf(v *View, e pkg.Entry) (library, bool) {
	if l, ok := linked.Load(e.Digest); ok {
		return l.(library), l.(library).flags != 0
	}
	l, err := readLibrary(v, e.Path)
	if err != nil {
		l = library{}
	}
	linked.Store(e.Digest, l)
	return l, err == nil
}

// tool adds a program and every library that the loader would give it to what
// a step reads: the same tool on the same libraries gives the same result.
func (c *collector) tool(paths ...string) {
	dirs, err := libraryDirs(c.view)
	if err != nil {
		return
	}
	todo := paths
	seen := map[string]bool{}
	for len(todo) > 0 {
		p := todo[0]
		todo = todo[1:]
		if e, ok := c.view.Lookup(p); ok && e.Kind == pkg.Symlink {
			c.add(e)
		}
		e, ok := c.view.Stat(p)
		if !ok || e.Kind != pkg.File || seen[e.Path] {
			continue
		}
		seen[e.Path] = true
		c.add(e)
		l, ok := libraryOf(c.view, e)
		if !ok {
			continue
		}
		for _, name := range l.needed {
			if strings.Contains(name, "/") {
				todo = append(todo, name)
				continue
			}
			for _, d := range dirs {
				at := path.Join(d, name)
				if t, ok := c.view.Stat(at); ok && t.Kind == pkg.File {
					if m, ok := libraryOf(c.view, t); ok && m.flags == l.flags {
						todo = append(todo, at)
						break
					}
				}
			}
		}
	}
}
