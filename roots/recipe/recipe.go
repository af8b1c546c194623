// Package recipe reads the text from which an image is built. It is pure: a
// recipe is data, and reading one touches neither network nor disk.
package recipe

import (
	"errors"

	"ninefold/internal/tomlfile"
	"ninefold/roots/pkg"
	"ninefold/roots/requires"
)

// Recipe is one image's source.
type Recipe struct {
	Version int    `toml:"version"` // 1
	Name    string `toml:"name"`    // [a-z0-9][a-z0-9._-]*
	Summary string `toml:"summary"`
	// From names the parent: another recipe, "host" for the running machine, an
	// image of the store by a reference with a slash, a colon or a digest
	// (steve/base:12), "" for none.
	From string `toml:"from"`
	// Packages are Debian package names, or name=version.
	Packages []string `toml:"packages"`
	// Source of the packages; what it leaves open is inherited (Chain.Source).
	Source Source `toml:"source"`
	// Fetch are files that Finish.Run finds in FetchedDir.
	Fetch  []Fetch `toml:"fetch"`
	Finish Finish  `toml:"finish"`
	// Declare adds state that files do not show.
	Declare Declare `toml:"declare"`
	// Exclude leaves things out of every package of this image.
	Exclude Exclude `toml:"exclude"`
	// Requires is what the image needs of a machine.
	Requires requires.List `toml:"requires"`
	// Environment is fixed in the image.
	Environment map[string]string `toml:"environment"`

	// File is where the recipe was read from, for errors.
	File string `toml:"-"`

	places tomlfile.Positions
}

// Source says where packages come from. At most one of Suite, Directory and
// Tarball is set; none at all inherits.
type Source struct {
	Suite      string   `toml:"suite"`      // "trixie"
	Components []string `toml:"components"` // default: main
	// Mirror and Keyring default to those of the host's own apt configuration.
	Mirror  string `toml:"mirror"`  // http, https or file URL
	Keyring string `toml:"keyring"` // a file, OpenPGP binary or armored
	// Recommends installs what packages recommend, too; default false.
	Recommends *bool `toml:"recommends"`
	// Updates adds the suite's security and point updates as the host's apt
	// configuration names them; default true, and without effect beside a
	// Mirror.
	Updates *bool `toml:"updates"`
	// AllowExpired takes an InRelease whose Valid-Until has passed. It is for
	// archives of the past, such as snapshot.debian.org.
	AllowExpired bool   `toml:"allow_expired"`
	Directory    string `toml:"directory"`
	Tarball      string `toml:"tarball"`
	SHA256       string `toml:"sha256"` // of Tarball
}

// FetchedDir is where commands of Finish.Run find the files of Fetch.
const FetchedDir = "/run/fetched"

// Fetch is a file that is brought over the network before anything runs, and is
// what its hash says; or all files that a lock file names by theirs.
type Fetch struct {
	// URL is http, https or file; with Lock the registry to ask, "" being the usual one.
	URL    string `toml:"url"`
	SHA256 string `toml:"sha256"`
	Size   int64  `toml:"size"` // bytes
	// Name is what it is called in FetchedDir; the last part of the URL if it is not given, and with Lock
	// the name of the package manager.
	Name string `toml:"name"`
	// Lock is the lock file of a package manager that package languages can read.
	Lock string `toml:"lock"`
}

// Finish lists what runs over the unpacked packages, in this order.
type Finish struct {
	// Steps are built-in steps by name (package finish); nil means all that
	// apply, an empty list none.
	Steps []string `toml:"steps"`
	// Run are commands, run by /bin/sh in a sandbox without network, last.
	Run []string `toml:"run"`
}

// Declare is the declared metadata a recipe adds. A user or group without an
// id gets -1: the image chooses.
type Declare struct {
	Users        []pkg.User        `toml:"users"`
	Groups       []pkg.Group       `toml:"groups"`
	Alternatives []pkg.Alternative `toml:"alternatives"`
	Capabilities []pkg.Capability  `toml:"capabilities"`
	Overrides    []pkg.Override    `toml:"overrides"`
	// Accept names packages with scripts that declare state in a form that
	// cannot be read; what they would declare stands here instead.
	Accept []string `toml:"accept"`
}

// Exclude names what to leave out.
type Exclude struct {
	Docs    bool `toml:"docs"`    // usr/share/doc (copyright files stay), man, info
	Locales bool `toml:"locales"` // usr/share/locale but C and en
	// Paths are path.Match patterns without a leading slash; a match on a
	// directory takes what is below it.
	Paths []string `toml:"paths"`
}

// ErrInvalid is wrapped by every error about what a recipe says, as opposed to
// how it is written.
var ErrInvalid = errors.New("invalid recipe")

// Parse reads a recipe. Its error is a tomlfile.Errors: everything wrong with
// the text, each with file, line and column. A leading slash of an Exclude
// path is dropped, and ids that are not given become -1.
func Parse(file string, data []byte) (*Recipe, error) {
	r := &Recipe{}
	if err := tomlfile.Decode(file, data, r); err != nil {
		return nil, err
	}
	r.File = file
	r.places = tomlfile.Index(file, data)
	r.complete()
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return r, nil
}
