package profile

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/internal/tomlfile"
	"ninefold/namespaces/plan"
)

func parse(file string, data []byte) (*Profile, tomlfile.Errors, error) {
	p := defaults()
	p.Version = 0
	p.File = file
	if err := tomlfile.Decode(file, data, p); err != nil {
		var all tomlfile.Errors
		if errors.As(err, &all) {
			return nil, all, nil
		}
		return nil, nil, err
	}
	c := &checker{Positions: tomlfile.Index(file, data), p: p}
	stem := strings.TrimSuffix(filepath.Base(file), ".toml")
	if p.Name == "" {
		p.Name = stem
	}
	c.version()
	c.names(stem)
	c.choices()
	c.isolation()
	c.guest()
	c.amounts()
	c.command()
	c.namespace(data)
	slices.SortStableFunc(c.errs, func(a, b *tomlfile.Error) int {
		return cmp.Or(a.Line-b.Line, a.Col-b.Col)
	})
	return p, c.errs, nil
}

type checker struct {
	tomlfile.Positions
	p    *Profile
	errs tomlfile.Errors
}

// bad reports a finding about the value at a dotted path.
func (c *checker) bad(path, format string, args ...any) {
	c.errs = append(c.errs, c.Error(ErrInvalid, fmt.Sprintf(format, args...), strings.Split(path, ".")...))
}

func (c *checker) version() {
	switch {
	case c.p.Version == 0:
		c.bad("version", "the key version is missing; write: version = 1")
	case c.p.Version != 1:
		c.bad("version", "version is %d; this program reads version 1", c.p.Version)
	}
}

func (c *checker) names(stem string) {
	p := c.p
	if !IsName(p.Name) {
		c.bad("name", "name %q: a name has small letters, digits, . _ and -, begins with a letter or digit, and has at most 64", p.Name)
	} else if p.Name != stem {
		c.bad("name", "name is %q and the file is called %s.toml; they have to be the same", p.Name, stem)
	}
	if strings.ContainsFunc(p.Summary, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.bad("summary", "summary has to be one line")
	}
	if p.Base == "" {
		c.bad("base", `base is empty; it is "host" or the name of an image`)
	} else if _, ok := ImageFile(p.Base); ok {
		c.onFile()
	} else if _, ok := Context(p.Base); ok {
		c.onContext()
	} else if !IsImage(p.Base) || strings.HasPrefix(p.Base, contextPrefix) || strings.HasPrefix(p.Base, "file:") {
		c.bad("base", "base %q is not the name of an image, nor file: and an absolute path, nor context: and a name", p.Base)
	}
	if p.Runtime != "" && !IsImage(p.Runtime) || p.Runtime == HostBase {
		c.bad("runtime", "runtime %q is not the name of an image", p.Runtime)
	}
	for i, name := range p.Components {
		if !IsImage(name) || name == HostBase {
			c.bad(fmt.Sprintf("components.%d", i), "component %q is not the name of an image", name)
		}
	}
	for i, d := range p.Devices {
		if !plan.IsDevice(d) {
			c.bad(fmt.Sprintf("devices.%d", i), `device %q is not a clean name below /dev; write "dri" for /dev/dri`, d)
		}
	}
}

// onFile checks what does not go with a base that is a file. It may be another
// one the next time, and what is kept belongs to one.
func (c *checker) onFile() {
	if c.p.Runtime != "" || len(c.p.Components) > 0 {
		c.bad("base", "base is a file, over which no runtime or component is put; import it (sessionctl image import) to do that")
	}
	if c.p.Keep.Root == "user" {
		c.bad("keep.root", "base is a file, over which nothing is kept; import it (sessionctl image import) to do that")
	}
}

// ImageFile returns the file that a base names: "file:/srv/work.erofs".
func ImageFile(base string) (string, bool) {
	file, ok := strings.CutPrefix(base, "file:")
	return file, ok && strings.HasPrefix(file, "/") && len(file) < 4096 && path.Clean(file) == file && file != "/" &&
		!strings.ContainsFunc(file, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// onContext checks what does not go with a base that is a context.
func (c *checker) onContext() {
	if c.p.Runtime != "" || len(c.p.Components) > 0 {
		c.bad("base", "base is a context, over which no runtime or component is put; make an image of it (sessionctl context commit) to do that")
	}
	if c.p.Guest() {
		c.bad("base", "base is a context, which is root's and no guest is to look into; make an image of it (sessionctl context commit)")
	}
}

const contextPrefix = "context:"

// Context returns the name of the context that a base names: "context:work".
func Context(base string) (string, bool) {
	name, ok := strings.CutPrefix(base, contextPrefix)
	return name, ok && IsName(name)
}

// IsImage reports whether s may be the reference of an image, like
// steve/gaming:2026-11; the store, which knows, reads it when it is used. What
// Context takes for a context is none.
func IsImage(s string) bool {
	if _, ok := Context(s); ok {
		return false
	}
	name, digest, fixed := strings.Cut(s, "@")
	parts := strings.Split(name, "/")
	for i, p := range parts {
		p, tag, tagged := strings.Cut(p, ":")
		if !IsName(p) || tagged && (i > 0 && i < len(parts)-1 || !isWord(tag)) {
			return false
		}
	}
	return len(s) <= 400 && (!fixed || strings.HasPrefix(digest, "sha256:"))
}

func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("%/:", r) })
}

// IsName reports whether s can name a profile.
func IsName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func (c *checker) choices() {
	p := c.p
	c.choice("compose", p.Compose, "auto", "merge", "full")
	c.choice("home", p.Home, "shared", "dotfiles", Kept, "private", "none")
	c.choice("tmp", p.Tmp, "private", "shared")
	c.choice("isolation.net", p.Isolation.Net, "host", "none")
	c.choice("isolation.user", p.Isolation.User, "host", "mapped", Dynamic)
	c.choice("isolation.seccomp", p.Isolation.Seccomp, "none", "default")
	c.choice("keep.root", p.Keep.Root, "no", "user")
	if p.Runtime == "" && (p.Compose == "merge" || p.Compose == "full") {
		c.bad("compose", "compose says how a runtime joins the base, and the profile has no runtime")
	}
}

// guest refuses what a user that exists for one session cannot have.
func (c *checker) guest() {
	p := c.p
	if p.Isolation.User != Dynamic {
		if p.Home == Kept {
			c.bad("home", `home: what is kept is a guest's; write user = "dynamic" below [isolation], or home = "shared"`)
		}
		return
	}
	if p.Home == "dotfiles" {
		c.bad("home", `home: a guest has none on the machine; write "private", "kept" or "none"`)
	}
	if p.Keep.Root == "user" {
		c.bad("keep.root", `root: nothing of a guest is kept; write "no"`)
	}
}

func (c *checker) choice(path, value string, known ...string) {
	if slices.Contains(known, value) {
		return
	}
	_, key, nested := strings.Cut(path, ".")
	if !nested {
		key = path
	}
	c.bad(path, "%s is %q%s", key, value, suggest(value, known))
}

func suggest(value string, known []string) string {
	if near := tomlfile.Nearest(value, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(known) > 20 {
		return ""
	}
	return fmt.Sprintf("; known are %q", known)
}

func (c *checker) isolation() {
	i := c.p.Isolation
	if i.Hostname != "" {
		if !plan.IsHostname(i.Hostname) {
			c.bad("isolation.hostname", "hostname %q: a host's name has letters, digits, - and ., at most 64", i.Hostname)
		}
		if !i.UTS {
			c.bad("isolation.hostname", "hostname needs a uts namespace; add: uts = true")
		}
	}
	known := append(plan.Capabilities(), "default", "all")
	for n, name := range i.Capabilities {
		if !slices.Contains(known, name) {
			c.bad(fmt.Sprintf("isolation.capabilities.%d", n), "unknown capability %q%s", name, suggest(name, known))
		}
	}
}

func (c *checker) amounts() {
	p := c.p
	if p.Keep.Size != "" {
		n, err := ParseSize(p.Keep.Size)
		switch {
		case err != nil:
			c.bad("keep.size", "size %s", err)
		case n < 1<<20 || n > 1<<50:
			c.bad("keep.size", "size %q is not between 1M and 1024T", p.Keep.Size)
		case p.Home == Kept && n < plan.MinDisk:
			c.bad("keep.size", "size %q is too small for a home that is kept: at least 8M", p.Keep.Size)
		case p.Keep.Root == "user":
			c.bad("keep.size", `size bounds a layer in memory; with root = "user" it lies on disk`)
		}
		p.Keep.size = int64(n)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Limits)) {
		if known := plan.LimitNames(); !slices.Contains(known, name) {
			c.bad("limits."+name, "unknown limit %q%s", name, suggest(name, known))
			continue
		}
		v, err := parseAmount(p.Limits[name])
		if err != nil {
			c.bad("limits."+name, "%s: %s", name, err)
		}
		p.limits = append(p.limits, plan.Limit{Name: name, Value: v})
	}
}

func (c *checker) command() {
	p := c.p
	for i, arg := range p.Command {
		if strings.Contains(arg, "\x00") || i == 0 && arg == "" {
			c.bad(fmt.Sprintf("command.%d", i), "command: %q cannot be a word of a command", arg)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Environment)) {
		value := p.Environment[name]
		if !plan.IsVariable(name) || len(name) > 255 {
			c.bad("environment."+name, "environment: %q is not made of letters, digits and _", name)
		} else if strings.Contains(value, "\x00") || len(value) > plan.MaxValue {
			c.bad("environment."+name, "environment: the value of %s holds a NUL or is too long", name)
		}
	}
}
