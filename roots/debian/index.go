package debian

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"ninefold/internal/tomlfile"
	"ninefold/roots/debian/deb822"
	"ninefold/roots/lock"
)

// entry is one package of an archive.
type entry struct {
	pkg lock.Package // its URL is complete
	// relations are the paragraphs for apt: everything that its solver reads.
	relations  string
	depends    []string // names out of Depends and Pre-Depends
	recommends []string
	provides   []string
}

// index is the packages of all archives asked.
type index struct {
	byName    map[string][]*entry
	providers map[string][]*entry
}

func newIndex() *index {
	return &index{byName: map[string][]*entry{}, providers: map[string][]*entry{}}
}

// solverFields are the fields that apt's solver reads (Debian policy 5.6 and
// 7); the others, two thirds of an index, are not given to it.
var solverFields = map[string]bool{
	"Package": true, "Version": true, "Architecture": true, "Multi-Arch": true, "Essential": true,
	"Important": true, "Protected": true, "Priority": true, "Section": true, "Source": true,
	"Depends": true, "Pre-Depends": true, "Recommends": true, "Conflicts": true, "Breaks": true,
	"Replaces": true, "Provides": true, "Installed-Size": true, "Filename": true, "Size": true, "SHA256": true,
}

// add reads a package index whose files lie below mirror.
func (x *index) add(mirror, text string) error {
	var e *entry
	for r := deb822.NewReader(text); ; {
		p, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			e, err = readEntry(mirror, p)
		}
		if err != nil {
			return fmt.Errorf("package index of %s: %w", mirror, err)
		}
		x.byName[e.pkg.Name] = append(x.byName[e.pkg.Name], e)
		for _, name := range e.provides {
			x.providers[name] = append(x.providers[name], e)
		}
	}
}

func readEntry(mirror string, p deb822.Paragraph) (*entry, error) {
	e := &entry{}
	var filename, size, sum string
	var b strings.Builder
	for _, f := range p {
		if !solverFields[f.Name] {
			continue
		}
		b.WriteString(f.Name + ": " + f.Value + "\n")
		switch f.Name {
		case "Package":
			e.pkg.Name = f.Value
		case "Version":
			e.pkg.Version = f.Value
		case "Architecture":
			e.pkg.Arch = f.Value
		case "Multi-Arch":
			e.pkg.MultiArch = f.Value
		case "Essential":
			e.pkg.Essential = f.Value == "yes"
		case "Conflicts":
			e.pkg.Conflicts = f.Value
		case "Breaks":
			e.pkg.Breaks = f.Value
		case "Provides":
			e.pkg.Provides = f.Value
			e.provides = relationNames(e.provides, f.Value)
		case "Depends", "Pre-Depends":
			e.depends = relationNames(e.depends, f.Value)
		case "Recommends":
			e.recommends = relationNames(e.recommends, f.Value)
		case "Filename":
			filename = f.Value
		case "Size":
			size = f.Value
		case "SHA256":
			sum = f.Value
		}
	}
	e.relations = b.String()
	if e.pkg.Name == "" || e.pkg.Version == "" || e.pkg.Arch == "" || filename == "" {
		return nil, fmt.Errorf("%w: a package without Package, Version, Architecture or Filename (%q)", deb822.ErrSyntax, e.pkg.Name)
	}
	if strings.HasPrefix(filename, "/") || slices.Contains(strings.Split(filename, "/"), "..") {
		return nil, fmt.Errorf("%w: package %s: file name %q leads out of the archive", deb822.ErrSyntax, e.pkg.Name, filename)
	}
	c, err := parseContent(size, sum)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", e.pkg.Name, err)
	}
	e.pkg.URL, e.pkg.Size, e.pkg.SHA256 = mirror+"/"+escape(filename), c.size, c.sha256
	return e, nil
}

// relationNames appends the names in a relationship field: "a (>= 1) | b, c:any".
func relationNames(names []string, value string) []string {
	for value != "" {
		var one string
		if i := strings.IndexAny(value, ",|"); i >= 0 {
			one, value = value[:i], value[i+1:]
		} else {
			one, value = value, ""
		}
		one = strings.TrimLeft(one, " \t\n")
		if i := strings.IndexAny(one, " \t\n(:[<"); i >= 0 {
			one = one[:i]
		}
		if one != "" {
			names = append(names, one)
		}
	}
	return names
}

// essentials returns the names of the packages that every system has (Debian
// policy 3.8), sorted.
func (x *index) essentials() []string {
	var names []string
	for name, entries := range x.byName {
		if slices.ContainsFunc(entries, func(e *entry) bool { return e.pkg.Essential }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// reachable returns the text of all packages that an answer for names could
// contain, in the order of their names. The rest of the archive cannot change
// the answer: a package gets into it only by a name that leads to it.
func (x *index) reachable(names []string, recommends bool) string {
	seen := map[string]bool{}
	found := map[*entry]bool{}
	todo := slices.Clone(names)
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[name] {
			continue
		}
		seen[name] = true
		for _, list := range [][]*entry{x.byName[name], x.providers[name]} {
			for _, e := range list {
				if found[e] {
					continue
				}
				found[e] = true
				// All versions of a package and what they need belong together.
				todo = append(append(todo, e.pkg.Name), e.depends...)
				if recommends {
					todo = append(todo, e.recommends...)
				}
			}
		}
	}
	list := slices.SortedFunc(maps.Keys(found), func(a, b *entry) int {
		return strings.Compare(a.relations, b.relations)
	})
	var b strings.Builder
	for _, e := range list {
		b.WriteString(e.relations + "\n")
	}
	return b.String()
}

// find returns the package of that name, version and, where there are several,
// architecture.
func (x *index) find(name, version, arch string) (lock.Package, error) {
	var found *entry
	for _, e := range x.byName[name] {
		if e.pkg.Version == version && (found == nil || e.pkg.Arch == arch) {
			found = e
		}
	}
	if found == nil {
		return lock.Package{}, fmt.Errorf("%w: %s %s", ErrNoPackage, name, version)
	}
	return found.pkg, nil
}

// check reports the wanted packages, name or name=version, that are not in
// the archives, each with the names or versions that come nearest.
func (x *index) check(wanted []string, suite string) error {
	var wrong []string
	var names []string
	for _, want := range wanted {
		name, version, pinned := strings.Cut(want, "=")
		entries := x.byName[name]
		switch {
		case len(entries) == 0 && len(x.providers[name]) > 0 && !pinned:
			// With one provider apt takes it; among several a person decides.
			if by := x.providedBy(name); len(by) > 1 {
				wrong = append(wrong, fmt.Sprintf("%s (name one that provides it: %s)", name, strings.Join(by[:min(len(by), 8)], ", ")))
			}
		case len(entries) == 0:
			if names == nil {
				names = slices.Sorted(maps.Keys(x.byName))
			}
			wrong = append(wrong, want+similar(name, names))
		case pinned && !slices.ContainsFunc(entries, func(e *entry) bool { return e.pkg.Version == version }):
			var have []string
			for _, e := range entries {
				have = append(have, e.pkg.Version)
			}
			wrong = append(wrong, fmt.Sprintf("%s (it has %s %s)", want, name, strings.Join(have, ", ")))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%w in %s: %s", ErrNoPackage, suite, strings.Join(wrong, "; "))
}

func (x *index) providedBy(name string) []string {
	var by []string
	for _, e := range x.providers[name] {
		by = append(by, e.pkg.Name)
	}
	slices.Sort(by)
	return slices.Compact(by)
}

// similar suggests names for one that does not exist: names that begin with
// it, and the one that it may be a slip of the keyboard of.
func similar(name string, names []string) string {
	var near []string
	for _, n := range names {
		if len(near) >= 3 {
			break
		}
		if strings.HasPrefix(n, name+"-") {
			near = append(near, n)
		}
	}
	if n := tomlfile.Nearest(name, names); n != "" && !slices.Contains(near, n) {
		near = append(near, n)
	}
	if len(near) == 0 {
		return ""
	}
	return " (did you mean " + strings.Join(near, ", ") + "?)"
}
