// Package image holds the image manifest: a parent, an unordered set of
// packages that do not conflict, and a finishing package. It is pure.
package image

import (
	"ninefold/roots/pkg"
	"ninefold/roots/requires"
)

// ID names an image: sha256 over the canonical encoding of what decides its
// content (parent, sorted packages, finishing package, environment, base).
// Name, build time and tools are not part of it.
type ID = pkg.Digest

// Manifest is one image.
type Manifest struct {
	// Version is what Form says.
	Version int    `json:"version"`
	Name    string `json:"name"`
	// Parent is the zero ID for a root image.
	Parent ID `json:"parent,omitzero"`
	// Packages are sorted bytewise by digest, each once. The parent's are not
	// repeated.
	Packages []Ref `json:"packages"`
	// Finishing is the package that the finishing steps made over parent and
	// packages. Its entries win over both; zero when there were no steps.
	Finishing pkg.Digest `json:"finishing,omitzero"`
	// Removed are paths of the parent chain that the finishing steps deleted.
	Removed []string `json:"removed,omitempty"`
	// Requires is what the image itself needs of a machine; what its ancestors need
	// comes on top.
	Requires requires.List `json:"requires,omitzero"`
	// Environment is fixed in the image.
	Environment map[string]string `json:"environment,omitempty"`
	// Host is set when the recipe says from = "host": the fingerprint of the
	// machine that the packages were solved against.
	Host string `json:"host,omitempty"`
	// Lock is the sha256 of the lock file that it was built from.
	Lock pkg.Digest `json:"lock,omitzero"`
}

// Ref is a package as a manifest lists it. Name and Version are for people;
// Digest decides.
type Ref struct {
	Name    string     `json:"name"`
	Version string     `json:"version"`
	Digest  pkg.Digest `json:"digest"`
}
