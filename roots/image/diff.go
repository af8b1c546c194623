package image

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// Difference is what lies between two images.
type Difference struct {
	Packages []PackageChange `json:"packages"`
	Files    []FileChange    `json:"files"`
}

// PackageChange is one package that is not the same in both. A package that
// only one side has leaves the other side's fields empty.
type PackageChange struct {
	Name       string     `json:"name"`
	Old        string     `json:"old,omitempty"` // version
	New        string     `json:"new,omitempty"`
	OldDigest  pkg.Digest `json:"old_digest,omitzero"`
	NewDigest  pkg.Digest `json:"new_digest,omitzero"`
	Repackaged bool       `json:"repackaged,omitempty"` // same version, other content
}

// FileChange is one path that is not the same in both.
type FileChange struct {
	Path string `json:"path"`
	// Change is "added", "removed" or "changed".
	Change string `json:"change"`
	// What lists what changed: "kind", "content", "target", "mode", "owner",
	// "time", "xattrs", "device", "link".
	What []string `json:"what,omitempty"`
	// Package names whom the path belongs to, in the new image if it is there.
	Package string `json:"package,omitempty"`
}

// Diff compares two chains, root first.
func Diff(a, b []Built) (*Difference, error) {
	ta, err := Flatten(a)
	if err != nil {
		return nil, err
	}
	tb, err := Flatten(b)
	if err != nil {
		return nil, err
	}
	return &Difference{Packages: DiffPackages(manifests(a), manifests(b)), Files: DiffTrees(ta, tb)}, nil
}

func manifests(chain []Built) []*Manifest {
	var l []*Manifest
	for _, b := range chain {
		l = append(l, b.Manifest)
	}
	return l
}

// DiffPackages compares the package sets of two chains by name, sorted by name.
func DiffPackages(a, b []*Manifest) []PackageChange {
	old, now := byName(a), byName(b)
	names := map[string]bool{}
	for n := range old {
		names[n] = true
	}
	for n := range now {
		names[n] = true
	}
	var changes []PackageChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		o, n := without(old[name], now[name]), without(now[name], old[name])
		for i := range max(len(o), len(n)) {
			c := PackageChange{Name: name}
			if i < len(o) {
				c.Old, c.OldDigest = o[i].Version, o[i].Digest
			}
			if i < len(n) {
				c.New, c.NewDigest = n[i].Version, n[i].Digest
			}
			c.Repackaged = c.Old == c.New
			changes = append(changes, c)
		}
	}
	return changes
}

func byName(chain []*Manifest) map[string][]Ref {
	m := map[string][]Ref{}
	for _, i := range chain {
		for _, r := range i.Packages {
			m[r.Name] = append(m[r.Name], r)
		}
	}
	for _, l := range m {
		slices.SortFunc(l, func(x, y Ref) int {
			return cmp.Or(strings.Compare(x.Version, y.Version), strings.Compare(x.Digest.String(), y.Digest.String()))
		})
	}
	return m
}

// without returns those of a that are not in b.
func without(a, b []Ref) []Ref {
	var l []Ref
	for _, r := range a {
		if !slices.ContainsFunc(b, func(x Ref) bool { return x.Digest == r.Digest }) {
			l = append(l, r)
		}
	}
	return l
}

// DiffTrees compares two trees path by path, sorted by path. The times of
// directories do not count.
func DiffTrees(a, b *Tree) []FileChange {
	return diff(a.Entries, b.Entries, func(second bool, i int) string {
		t := a
		if second {
			t = b
		}
		if o := t.Owner(i); o != nil {
			return o.String()
		}
		return ""
	}, changed)
}

// DiffEntries compares what two packages hold, sorted by path. Everything that
// their digests cover counts.
func DiffEntries(a, b []pkg.Entry) []FileChange {
	return diff(a, b, func(bool, int) string { return "" }, func(x, y *pkg.Entry) []string {
		what := changed(x, y)
		if x.Kind == pkg.Dir && y.Kind == pkg.Dir && x.MTime != y.MTime {
			what = append(what, "time")
		}
		if x.Conffile != y.Conffile {
			what = append(what, "conffile")
		}
		return what
	})
}

func diff(a, b []pkg.Entry, owner func(second bool, i int) string, changed func(a, b *pkg.Entry) []string) []FileChange {
	var changes []FileChange
	add := func(second bool, i int, path, change string, what []string) {
		changes = append(changes, FileChange{Path: path, Change: change, What: what, Package: owner(second, i)})
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case j == len(b) || i < len(a) && a[i].Path < b[j].Path:
			add(false, i, a[i].Path, "removed", nil)
			i++
		case i == len(a) || b[j].Path < a[i].Path:
			add(true, j, b[j].Path, "added", nil)
			j++
		default:
			if what := changed(&a[i], &b[j]); what != nil {
				add(true, j, b[j].Path, "changed", what)
			}
			i++
			j++
		}
	}
	return changes
}

func changed(a, b *pkg.Entry) []string {
	if a.Kind != b.Kind {
		return []string{"kind"}
	}
	var what []string
	for _, c := range []struct {
		name   string
		differ bool
	}{
		{"content", a.Digest != b.Digest || a.Size != b.Size},
		{"target", a.Target != b.Target},
		{"mode", a.Mode != b.Mode},
		{"owner", a.UID != b.UID || a.GID != b.GID},
		{"time", a.MTime != b.MTime && a.Kind != pkg.Dir},
		{"xattrs", !sameXattrs(a.Xattrs, b.Xattrs)},
		{"device", a.Major != b.Major || a.Minor != b.Minor},
		{"link", a.Link != b.Link},
	} {
		if c.differ {
			what = append(what, c.name)
		}
	}
	return what
}
