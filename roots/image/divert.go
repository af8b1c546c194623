package image

import (
	"fmt"
	"strings"

	"ninefold/roots/pkg"
)

// diversions are those of all packages of a chain, by From without its slash.
type diversions map[string]pkg.Diversion

// newDiversions collects what the packages declare. Two packages that divert
// one path to different places conflict.
func newDiversions(chain []Built, owners []Owner) (diversions, error) {
	d := diversions{}
	by := map[string]int{}
	at := 0
	for _, b := range chain {
		for _, p := range b.Packages {
			for _, v := range p.Declared.Diversions {
				from := strings.TrimPrefix(v.From, "/")
				if was, ok := d[from]; ok && was != v {
					return nil, &ConflictError{Path: from, A: owners[by[from]], B: owners[at],
						Why: fmt.Sprintf("diverted to %s and to %s", was.To, v.To)}
				}
				d[from] = v
				by[from] = at
			}
			at++
		}
		if b.Finishing != nil {
			at++
		}
	}
	return d, nil
}

// apply returns e as it is found when it comes from package name. Directories
// are not diverted, as dpkg-divert(1) does not divert them.
func (d diversions) apply(name string, e *pkg.Entry) *pkg.Entry {
	if len(d) == 0 {
		return e
	}
	to := func(path string) string {
		if v, ok := d[path]; ok && v.By != name {
			return strings.TrimPrefix(v.To, "/")
		}
		return path
	}
	if e.Kind == pkg.Dir {
		return e
	}
	path, link := to(e.Path), e.Link
	if link != "" {
		link = to(link)
	}
	if path == e.Path && link == e.Link {
		return e
	}
	moved := *e
	moved.Path, moved.Link = path, link
	return &moved
}
