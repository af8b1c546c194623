package compat

import (
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// Tree is an image as a Base: the merged entries of its chain.
type Tree struct {
	entries []pkg.Entry
	byName  map[string][]int // libraries by file name
	dirs    map[string]bool
	objects Objects
}

// NewTree takes entries sorted bytewise by path, as a flattened image has them.
func NewTree(entries []pkg.Entry, objects Objects) (*Tree, error) {
	t := &Tree{entries: entries, byName: map[string][]int{}, dirs: map[string]bool{}, objects: objects}
	for i := range entries {
		e := &entries[i]
		if e.Kind != pkg.File && e.Kind != pkg.Symlink {
			continue
		}
		if name := path.Base(e.Path); strings.Contains(name, ".so") {
			t.byName[name] = append(t.byName[name], i)
		}
		if e.Kind == pkg.File && isLinkerConf(e.Path) {
			f, err := objects.Object(e.Digest)
			if err != nil {
				return nil, err
			}
			dirs, err := linkerConf(f)
			f.Close()
			if err != nil {
				return nil, err
			}
			for _, d := range dirs {
				t.dirs[d] = true
			}
		}
	}
	return t, nil
}

// Library implements Base.
func (t *Tree) Library(soname string, abi ABI) ([]string, bool, error) {
	for _, i := range t.byName[soname] {
		if d := path.Dir(t.entries[i].Path); !defaultDir(d) && !t.dirs[d] {
			continue
		}
		e, ok := t.resolve(t.entries[i].Path)
		if !ok || e == nil || e.Kind != pkg.File {
			continue
		}
		f, err := t.objects.Object(e.Digest)
		if err != nil {
			return nil, false, err
		}
		if defines, ok, err := readLibrary(f, abi); ok || err != nil {
			return defines, ok, err
		}
	}
	return nil, false, nil
}

// Exists implements Base.
func (t *Tree) Exists(name string) (bool, error) {
	_, ok := t.resolve(name)
	return ok, nil
}

// maxLinks is how many symbolic links a path may lead through, as in
// path_resolution(7).
const maxLinks = 40

// resolve follows symbolic links in every component of name. The result is nil
// for a directory that no entry lists; ok says whether the name exists.
func (t *Tree) resolve(name string) (e *pkg.Entry, ok bool) {
	done, rest := "", name
	for links := 0; rest != ""; {
		var first string
		first, rest, _ = strings.Cut(rest, "/")
		switch first {
		case "", ".":
			continue
		case "..":
			if done = path.Dir("/" + done)[1:]; done == "" {
				e = nil
			}
			continue
		}
		at := path.Join(done, first)
		i, found := t.find(at)
		if !found {
			// Directories need not be listed; what lies below decides.
			if j, _ := t.find(at + "/"); j == len(t.entries) || !strings.HasPrefix(t.entries[j].Path, at+"/") {
				return nil, false
			}
			done, e = at, nil
			continue
		}
		e = &t.entries[i]
		if e.Kind == pkg.Char && e.Major == 0 && e.Minor == 0 {
			return nil, false // a whiteout: deleted
		}
		if e.Kind != pkg.Symlink {
			done = at
			continue
		}
		if links++; links > maxLinks {
			return nil, false
		}
		if strings.HasPrefix(e.Target, "/") {
			done = ""
		}
		rest, e = e.Target+"/"+rest, nil
	}
	return e, true
}

func (t *Tree) find(name string) (int, bool) {
	return slices.BinarySearchFunc(t.entries, name, func(e pkg.Entry, p string) int { return strings.Compare(e.Path, p) })
}
