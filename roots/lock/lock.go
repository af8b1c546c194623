// Package lock holds the answer of the solver: exactly which packages, from
// where, with which content. Building from a lock never changes a version.
package lock

import "ninefold/roots/pkg"

// Lock is one image's lock file (JSON on disk, stable order).
type Lock struct {
	Version int    `json:"version"`
	Recipe  string `json:"recipe"`
	// RecipeHash is the sha256 of what the solver was asked: packages, source
	// and parent's set. A lock whose hash differs is out of date.
	RecipeHash pkg.Digest `json:"recipe_hash"`
	Arch       string     `json:"arch"`
	Source     Source     `json:"source"`
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
}
