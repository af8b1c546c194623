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
	"time"

	"ninefold/internal/regular"
	"ninefold/internal/tomlfile"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
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

// Require is what has to be signed.
type Require string

// What a rule can ask for, from the least.
const (
	// RequireNone lets an image be used unsigned; it is not trusted then.
	RequireNone Require = "none"
	// RequireImage asks for a signature over the image, and over its tag when
	// it came under that name.
	RequireImage Require = "image"
	// RequirePackages asks for signatures over each package too.
	RequirePackages Require = "packages"
)

var requires = []string{string(RequireNone), string(RequireImage), string(RequirePackages)}

// Rule is one [[rule]] of trust.toml. Of several that match a reference the
// first counts.
type Rule struct {
	// Images are patterns (image.Match) of references.
	Images []string `toml:"images"`
	// Require says what has to be signed. Default: image.
	Require Require `toml:"require"`
	// Keys are names of keys that count for it. Default: all that root trusts.
	Keys []string `toml:"keys"`
	// Attestations is how many different keys must have signed each package.
	// Default: 1. More asks for packages.
	Attestations int `toml:"attestations"`
	// Local is "trusted" (the default): what was built on this machine needs
	// no signature; or "signed": it does.
	Local string `toml:"local"`
}

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

// Revocation is one [[revoked]] of revoked.toml.
type Revocation struct {
	// Key is the id of the key; Since is from when it counts no more (default:
	// always), whatever the date on a signature: who has a key can put any date there.
	Key    pkg.Digest `toml:"key"`
	Since  date       `toml:"since"`
	Reason string     `toml:"reason"`
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

// ParseRevoked reads a revoked.toml.
func ParseRevoked(file string, data []byte) ([]Revocation, error) {
	f := struct {
		Version int          `toml:"version"`
		Revoked []Revocation `toml:"revoked"`
	}{Version: fileVersion}
	if err := tomlfile.Decode(file, data, &f); err != nil {
		return nil, fmt.Errorf("%w:\n%w", ErrInvalid, err)
	}
	c := checker{index: tomlfile.Index(file, data)}
	c.version(f.Version)
	for i := range f.Revoked {
		r := &f.Revoked[i]
		if r.Key.IsZero() {
			c.bad("key is missing: the id of the key, as sessionctl key show prints it", "revoked", fmt.Sprint(i), "key")
		}
		if r.Since.IsZero() {
			r.Since.Time = time.Unix(0, 0).UTC() // always
		}
	}
	return f.Revoked, c.err()
}

// Text is what one revocation is in revoked.toml.
func (r Revocation) Text() string {
	s := fmt.Sprintf("[[revoked]]\nkey = \"%s\"\nsince = %q\n", r.Key, r.Since.Format(time.RFC3339))
	if r.Reason != "" {
		s += fmt.Sprintf("reason = %q\n", r.Reason)
	}
	return s
}

// ParsePolicy reads a trust.toml.
func ParsePolicy(file string, data []byte) ([]Rule, error) {
	f := struct {
		Version int    `toml:"version"`
		Rule    []Rule `toml:"rule"`
	}{Version: fileVersion}
	if err := tomlfile.Decode(file, data, &f); err != nil {
		return nil, fmt.Errorf("%w:\n%w", ErrInvalid, err)
	}
	c := checker{index: tomlfile.Index(file, data)}
	c.version(f.Version)
	for i := range f.Rule {
		r := &f.Rule[i]
		at := func(key string) []string { return []string{"rule", fmt.Sprint(i), key} }
		if len(r.Images) == 0 {
			c.bad(`images is missing: say which references the rule is for, "**" for all`, at("images")...)
		}
		c.patterns(r.Images, at("images")...)
		if r.Attestations < 0 || r.Attestations > sign.MaxSignatures {
			c.bad(fmt.Sprintf("attestations is %d; it is 1 to %d", r.Attestations, sign.MaxSignatures), at("attestations")...)
		}
		if r.Require == "" {
			r.Require = RequireImage
		}
		c.oneOf(string(r.Require), requires, at("require")...)
		if r.Attestations > 1 {
			if c.index.Has(at("require")...) && r.Require != RequirePackages {
				c.bad(fmt.Sprintf("attestations are over packages, and require is %q", r.Require), at("attestations")...)
			}
			r.Require = RequirePackages
		}
		r.Attestations = max(r.Attestations, 1)
		if len(r.Keys) > 0 && r.Require == RequirePackages && len(r.Keys) < r.Attestations {
			c.bad(fmt.Sprintf("%d attestations cannot come from %d keys", r.Attestations, len(r.Keys)), at("attestations")...)
		}
		if r.Local == "" {
			r.Local = "trusted"
		}
		c.oneOf(r.Local, []string{"trusted", "signed"}, at("local")...)
	}
	return f.Rule, c.err()
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

// rule returns what has to be signed of an image that is called so.
func (p *Policy) rule(reference string) Rule {
	for _, r := range p.Rules {
		if slices.ContainsFunc(r.Images, func(pattern string) bool { return image.Match(pattern, reference) }) {
			return r
		}
	}
	return Rule{Images: []string{"**"}, Require: RequireImage, Attestations: 1, Local: "trusted"}
}

// checker gathers what is wrong with a file.
type checker struct {
	index tomlfile.Positions
	errs  tomlfile.Errors
}

func (c *checker) bad(msg string, key ...string) {
	c.errs = append(c.errs, c.index.Error(ErrInvalid, msg, key...))
}

func (c *checker) version(n int) {
	if n != fileVersion {
		c.bad(fmt.Sprintf("version is %d, and this program knows %d", n, fileVersion), "version")
	}
}

func (c *checker) patterns(list []string, key ...string) {
	for _, s := range list {
		if !image.ValidPattern(s) {
			c.bad(fmt.Sprintf("%.80q is not a pattern of references: like steve/*, or ** for all", s), key...)
		}
	}
}

func (c *checker) oneOf(s string, list []string, key ...string) {
	if slices.Contains(list, s) {
		return
	}
	hint := ""
	if near := tomlfile.Nearest(s, list); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	c.bad(fmt.Sprintf("%.80q is not one of %s%s", s, strings.Join(list, ", "), hint), key...)
}

func (c *checker) err() error {
	if len(c.errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w:\n%w", ErrInvalid, c.errs)
}
