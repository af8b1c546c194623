// Package lock holds the answer of the solver: exactly which packages, from
// where, with which content. Building from a lock never changes a version.
package lock

import "ninefold/roots/pkg"

// Version is the version of the format that this package writes.
const Version = 1

// Lock is one image's lock file (JSON on disk, stable order).
type Lock struct {
	Version int    `json:"version"`
	Recipe  string `json:"recipe"`
	// RecipeHash is Question.Hash of what the solver was asked. A lock whose
	// hash differs is out of date.
	RecipeHash pkg.Digest `json:"recipe_hash"`
	Arch       string     `json:"arch"`
	// Parent is the image that the recipe's reference stood for when the lock
	// was made (from = "steve/base:12"); zero when it comes from a recipe. The tag may move, and the
	// lock does not.
	Parent pkg.Digest `json:"parent,omitzero"`
	Source Source     `json:"source"`
	// Updates are the further archives that were asked, sorted by suite.
	Updates []Source `json:"updates,omitempty"`
	// Packages are sorted by name; the parent's are not repeated.
	Packages []Package `json:"packages"`
}

// Source is what was verified when the lock was made.
type Source struct {
	Mirror     string   `json:"mirror,omitempty"`
	Suite      string   `json:"suite,omitempty"`
	Components []string `json:"components,omitempty"`
	// SignedBy are the fingerprints whose signature on InRelease held.
	SignedBy []string `json:"signed_by,omitempty"`
	// Date is InRelease's Date in seconds since the epoch.
	Date int64 `json:"date,omitempty"`
}

// Package is one .deb.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	// URL is relative to Source.Mirror unless it is absolute.
	URL    string     `json:"url"`
	Size   int64      `json:"size"`
	SHA256 pkg.Digest `json:"sha256"` // of the .deb file
	// What a child image's solver has to know of a package that is there
	// already, as the archive's index says it (Debian policy 7). Depends is
	// not among it: a lock is complete, and its packages are never removed.
	Provides  string `json:"provides,omitempty"`
	Conflicts string `json:"conflicts,omitempty"`
	Breaks    string `json:"breaks,omitempty"`
	MultiArch string `json:"multi_arch,omitempty"`
	Essential bool   `json:"essential,omitempty"`
}

// Date returns the latest date of the archives that the lock was made from, in
// seconds since the epoch: the time that files without a time of their own get.
func (l *Lock) Date() int64 {
	date := l.Source.Date
	for _, u := range l.Updates {
		date = max(date, u.Date)
	}
	return date
}
