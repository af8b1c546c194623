package languages

import (
	"encoding/hex"
	"fmt"
	"regexp"

	"github.com/pelletier/go-toml/v2"
)

var (
	crateName    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	crateVersion = regexp.MustCompile(`^[0-9][A-Za-z0-9.+-]{0,127}$`)
)

// cratesIO is the one registry whose archives are known by their name alone.
const cratesIO = "registry+https://github.com/rust-lang/crates.io-index"

// cargo reads a Cargo.lock of any version with checksums beside their packages (2 and newer).
func cargo(text []byte, registry, _ string) (*Plan, error) {
	var lock struct {
		Package []struct {
			Name     string `toml:"name"`
			Version  string `toml:"version"`
			Source   string `toml:"source"`
			Checksum string `toml:"checksum"`
		} `toml:"package"`
	}
	if err := toml.Unmarshal(text, &lock); err != nil {
		return nil, err
	}
	p := &Plan{Texts: map[string][]byte{"Cargo.lock": text}}
	for _, one := range lock.Package {
		if one.Source == "" {
			continue // of the project
		}
		if !crateName.MatchString(one.Name) || !crateVersion.MatchString(one.Version) {
			return nil, fmt.Errorf("%q in version %q is no package of a registry", one.Name, one.Version)
		}
		what := one.Name + " " + one.Version
		if one.Source != cratesIO && one.Source != "sparse+https://index.crates.io/" {
			return nil, fmt.Errorf("%s comes from %q: only packages of crates.io have a hash that can be checked; take a released version of it", what, one.Source)
		}
		if one.Checksum == "" {
			return nil, fmt.Errorf("%s has no checksum: run cargo generate-lockfile with cargo 1.53 or newer", what)
		}
		raw, err := hex.DecodeString(one.Checksum)
		if err != nil {
			return nil, fmt.Errorf("%s: the checksum: %w", what, err)
		}
		sum, err := newSum("sha256", raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		file := one.Name + "-" + one.Version + ".crate"
		p.Files = append(p.Files, File{Package: what, URL: registry + "/" + one.Name + "/" + file, Path: file, Sum: sum})
	}
	return p, nil
}
