// Package recipe reads the text from which an image is built. It is pure: a
// recipe is data, and reading one touches neither network nor disk.
package recipe

import "ninefold/roots/pkg"

// Recipe is one image's source.
type Recipe struct {
	Version int    `toml:"version"` // 1
	Name    string `toml:"name"`    // [a-z0-9][a-z0-9._-]*
	Summary string `toml:"summary"`
	// From names the parent: another recipe or image, "host" for the running
	// machine, "" for none.
	From     string   `toml:"from"`
	Packages []string `toml:"packages"`
	// Source of the packages; inherited from the parent when absent.
	Source Source `toml:"source"`
	Finish Finish `toml:"finish"`
	// Declare adds state that files do not show.
	Declare Declare `toml:"declare"`
	// Exclude leaves things out of every package of this image.
	Exclude Exclude `toml:"exclude"`
	// Environment is fixed in the image.
	Environment map[string]string `toml:"environment"`
	// Requires is what the image needs of a host to be merged on it.
	Requires []string `toml:"requires"`
}

// Source says where packages come from. Exactly one of Suite, Directory and
// Tarball is set; none at all inherits.
type Source struct {
	Suite      string   `toml:"suite"`      // "trixie"
	Components []string `toml:"components"` // default: main
	// Mirror and Keyring default to those of the host's own apt configuration.
	Mirror     string `toml:"mirror"`
	Keyring    string `toml:"keyring"`
	Recommends bool   `toml:"recommends"`
	Directory  string `toml:"directory"`
	Tarball    string `toml:"tarball"`
	SHA256     string `toml:"sha256"` // of Tarball
}

// Finish lists what runs over the unpacked packages, in this order.
type Finish struct {
	// Steps are built-in steps by name (package finish); nil means all that
	// apply, an empty list none.
	Steps []string `toml:"steps"`
	// Run are commands, run by /bin/sh in a sandbox without network, last.
	Run []string `toml:"run"`
}

// Declare is the declared metadata a recipe adds.
type Declare struct {
	Users        []pkg.User        `toml:"users"`
	Groups       []pkg.Group       `toml:"groups"`
	Alternatives []pkg.Alternative `toml:"alternatives"`
	Capabilities []pkg.Capability  `toml:"capabilities"`
	Overrides    []pkg.Override    `toml:"overrides"`
}

// Exclude names what to leave out.
type Exclude struct {
	Docs    bool     `toml:"docs"`    // usr/share/doc (copyright files stay), man, info
	Locales bool     `toml:"locales"` // usr/share/locale but C and en
	Paths   []string `toml:"paths"`   // path.Match patterns; a match on a directory takes what is below it
}
