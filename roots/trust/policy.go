package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/internal/regular"
	"ninefold/internal/tomlfile"
	"ninefold/roots/sign"
)

// The names in a directory of configuration.
const (
	KeysDir     = "trust.d"
	RevokedFile = "revoked.toml"
	PolicyFile  = "trust.toml"
)

// maxKeys bounds the files that are read in one trust.d.
const maxKeys = 1024

// Policy is what the trust files say.
type Policy struct {
	// Keys are those of trust.d by name; Problems are its files that cannot be
	// used, whose keys are not trusted.
	Keys     map[string]*Key
	Problems []error
	// Rules are those of trust.toml.
	Rules []Rule
	// Inputs are the files and directories that were looked at, whether they
	// are there or not: what was decided by the policy holds while they are the same.
	Inputs []string

	revoked map[sign.KeyID]Revocation
	named   map[string]bool // keys that have a file
}

// Load reads the trust files in the directories of configuration, of which the
// first counts most; what is revoked in any of them is revoked. An error about the content of
// trust.toml or revoked.toml wraps ErrInvalid.
func Load(dirs ...string) (*Policy, error) {
	p := &Policy{Keys: map[string]*Key{}, revoked: map[sign.KeyID]Revocation{}, named: map[string]bool{}}
	found := false
	for _, d := range dirs {
		if err := p.loadRevoked(filepath.Join(d, RevokedFile)); err != nil {
			return nil, err
		}
		if err := p.loadKeys(filepath.Join(d, KeysDir)); err != nil {
			return nil, err
		}
		if found {
			continue
		}
		file := filepath.Join(d, PolicyFile)
		b, err := p.read(file)
		if err != nil {
			return nil, err
		}
		if found = b != nil; found {
			if p.Rules, err = ParsePolicy(file, b); err != nil {
				return nil, err
			}
		}
	}
	for _, k := range p.Keys {
		if r, ok := p.revoked[k.Public.ID()]; ok {
			k.Revoked, k.Reason = r.Since.Time, r.Reason
		}
	}
	p.strangers()
	return p, nil
}

// read returns the content of a file, nil when there is none.
func (p *Policy) read(file string) ([]byte, error) {
	p.Inputs = append(p.Inputs, file)
	b, err := regular.Read(file, tomlfile.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the trust files: %w", err)
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

func (p *Policy) loadKeys(dir string) error {
	p.Inputs = append(p.Inputs, dir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the trusted keys: %w", err)
	}
	for i, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".toml")
		if !ok || strings.HasPrefix(name, ".") {
			continue
		}
		if i >= maxKeys {
			return fmt.Errorf("read the trusted keys: %w: %s holds more than %d files", ErrInvalid, dir, maxKeys)
		}
		file := filepath.Join(dir, e.Name())
		if p.named[name] {
			continue // by a directory that counts more, also when that file is wrong
		}
		p.named[name] = true
		b, err := p.read(file)
		if err == nil && b != nil {
			var k *Key
			if k, err = ParseKey(file, name, b); err == nil {
				p.Keys[name] = k
			}
		}
		if err != nil {
			p.Problems = append(p.Problems, err)
		}
	}
	return nil
}

func (p *Policy) loadRevoked(file string) error {
	b, err := p.read(file)
	if err != nil || b == nil {
		return err
	}
	list, err := ParseRevoked(file, b)
	for _, r := range list {
		if old, ok := p.revoked[r.Key]; !ok || r.Since.Before(old.Since.Time) {
			p.revoked[r.Key] = r
		}
	}
	return err
}

// strangers reports rules about keys that there are none of: a typing error would
// let nothing in, and nobody would know why.
func (p *Policy) strangers() {
	names := slices.Sorted(maps.Keys(p.Keys))
	for _, r := range p.Rules {
		for _, k := range r.Keys {
			if p.named[k] {
				continue
			}
			hint := ""
			if near := tomlfile.Nearest(k, names); near != "" {
				hint = fmt.Sprintf("; did you mean %q?", near)
			}
			p.Problems = append(p.Problems, fmt.Errorf("%w: the rule of %s for %s names the key %q, which is not in %s%s", ErrInvalid, PolicyFile, strings.Join(r.Images, ", "), k, KeysDir, hint))
		}
	}
}

// Unsigned reports whether an image from outside may be used without a
// signature when it came by this name.
func (p *Policy) Unsigned(reference string) bool { return p.rule(reference).Require == RequireNone }
