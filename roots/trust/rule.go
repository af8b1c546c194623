package trust

import (
	"fmt"
	"slices"

	"ninefold/internal/tomlfile"
	"ninefold/roots/image"
	"ninefold/roots/sign"
)

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

// rule returns what has to be signed of an image that is called so.
func (p *Policy) rule(reference string) Rule {
	for _, r := range p.Rules {
		if slices.ContainsFunc(r.Images, func(pattern string) bool { return image.Match(pattern, reference) }) {
			return r
		}
	}
	return Rule{Images: []string{"**"}, Require: RequireImage, Attestations: 1, Local: "trusted"}
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
