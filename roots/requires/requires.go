// Package requires says what an image needs of the machine that it is used on,
// and whether a machine has it. It is pure: what a machine has is found by package detect.
package requires

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// List is what one image needs: [requires] of its recipe, and what was found out
// when it was built. Nothing in it is nothing needed. Its JSON is part of the image's
// manifest.
type List struct {
	// Kernel and Systemd are ranges of versions: ">= 6.6, < 7".
	Kernel  string `toml:"kernel" json:"kernel,omitempty"`
	Systemd string `toml:"systemd" json:"systemd,omitempty"`
	// Config are options of the kernel, as its configuration names them: "USER_NS",
	// built in or as a module, or "HZ=1000".
	Config []string `toml:"config" json:"config,omitempty"`
	// Modules are kernel modules, also those that are built in.
	Modules []string `toml:"modules" json:"modules,omitempty"`
	// Filesystems are file systems that the kernel knows or has a module of.
	Filesystems []string `toml:"filesystems" json:"filesystems,omitempty"`
	// Drivers are kernel modules with ranges of their own versions: "nvidia = 550.54.14".
	Drivers []string `toml:"drivers" json:"drivers,omitempty"`
	// CPU is the level of the processor: "x86-64-v3".
	CPU string `toml:"cpu" json:"cpu,omitempty"`
	// Host are operating systems by ID and perhaps VERSION_ID of os-release(5), one
	// of which it has to be: "debian 12".
	Host []string `toml:"host" json:"host,omitempty"`
	// Images are references that have to be in the store.
	Images []string `toml:"images" json:"images,omitempty"`
}

// ErrInvalid is wrapped by every error about what a List says.
var ErrInvalid = errors.New("invalid requirement")

// IsZero reports whether nothing is needed; encoding/json asks it.
func (l List) IsZero() bool {
	return l.Kernel == "" && l.Systemd == "" && l.CPU == "" && len(l.Config)+len(l.Modules)+len(l.Filesystems)+len(l.Drivers)+len(l.Host)+len(l.Images) == 0
}

// maxEach bounds each of the lists, and maxText each text in bytes.
const (
	maxEach = 256
	maxText = 256
)

var (
	wordRule   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	configRule = regexp.MustCompile(`^[A-Z0-9_a-z]+(=[^\x00-\x1f]*)?$`)
	hostRule   = regexp.MustCompile(`^[a-z0-9._-]+( [a-z0-9._-]+)?$`)
	imageRule  = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._:/@-]*$`)
)

// levels are the levels of x86-64 processors, the index in it is the level.
var levels = []string{"", "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"}

// Level is the name of a level, 1 to 4; "" for any other.
func Level(n int) string {
	if n < 1 || n >= len(levels) {
		return ""
	}
	return levels[n]
}

// Problem is one thing that is wrong with a List, and where: a key and the index in its list, or -1.
type Problem struct {
	Key   string
	Index int
	Text  string
}

// Check returns everything that is wrong with l.
func (l List) Check() []Problem {
	var out []Problem
	bad := func(key string, i int, format string, args ...any) {
		out = append(out, Problem{key, i, fmt.Sprintf(format, args...)})
	}
	for key, text := range map[string]string{"kernel": l.Kernel, "systemd": l.Systemd} {
		if _, err := parseRange(text); text != "" && err != nil {
			bad(key, -1, "%v", err)
		}
	}
	if l.CPU != "" && !slices.Contains(levels[1:], l.CPU) {
		bad("cpu", -1, "%q is no level of a processor; there are %s", l.CPU, strings.Join(levels[1:], ", "))
	}
	for _, c := range []struct {
		key  string
		list []string
		rule *regexp.Regexp
		what string
	}{
		{"config", l.Config, configRule, "an option of the kernel, such as USER_NS or HZ=1000"},
		{"modules", l.Modules, wordRule, "the name of a kernel module"},
		{"filesystems", l.Filesystems, wordRule, "the name of a file system"},
		{"host", l.Host, hostRule, "an operating system, such as debian or debian 12"},
		{"images", l.Images, imageRule, "the name of an image"},
		{"drivers", l.Drivers, nil, ""},
	} {
		if len(c.list) > maxEach {
			bad(c.key, -1, "%d entries, at most %d are taken", len(c.list), maxEach)
			continue
		}
		for i, text := range c.list {
			switch {
			case len(text) > maxText:
				bad(c.key, i, "longer than %d bytes", maxText)
			case c.rule != nil && !c.rule.MatchString(text):
				bad(c.key, i, "%q is not %s", text, c.what)
			case c.rule == nil:
				if _, _, err := driver(text); err != nil {
					bad(c.key, i, "%v", err)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Validate is an error that wraps ErrInvalid and tells the first problem.
func (l List) Validate() error {
	for _, p := range l.Check() {
		return fmt.Errorf("%w: %s: %s", ErrInvalid, p.Key, p.Text)
	}
	return nil
}

// driver splits "nvidia = 550.54.14" into the module and the range of its versions.
func driver(text string) (string, Range, error) {
	i := strings.IndexAny(text, "<>= ")
	if i < 0 {
		i = len(text)
	}
	name, rest := text[:i], strings.TrimSpace(text[i:])
	if !wordRule.MatchString(name) {
		return "", nil, fmt.Errorf("%q is not a kernel module with a version, such as nvidia = 550.54.14", text)
	}
	r, err := parseRange(rest)
	if err != nil {
		return "", nil, fmt.Errorf("driver %s: %w", name, err)
	}
	return name, r, nil
}
