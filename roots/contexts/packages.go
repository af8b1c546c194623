package contexts

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/internal/regular"
	"ninefold/roots/debian/deb822"
	"ninefold/roots/debversion"
)

const (
	statusFile   = "/var/lib/dpkg/status"
	extendedFile = "/var/lib/apt/extended_states"
	infoDir      = "/var/lib/dpkg/info"
	maxStatus    = 256 << 20
)

// PackageChange is a difference of what is installed.
type PackageChange struct {
	Name string `json:"name"`
	Arch string `json:"arch"`
	// Change is "added", "removed", "upgraded", "downgraded", "manual" (marked as
	// asked for) or "auto".
	Change string `json:"change"`
	From   string `json:"from,omitempty"` // version below
	To     string `json:"to,omitempty"`   // version in the context
	// Auto says that apt installed it for another one.
	Auto bool `json:"auto,omitempty"`
}

// installed is a package that dpkg has, as far as it is compared.
type installed struct {
	version string
	auto    bool
}

type packageKey struct{ name, arch string }

// packagesOf reads dpkg's and apt's files: empty texts are no packages.
func packagesOf(status, extended string) (map[packageKey]installed, error) {
	out := map[packageKey]installed{}
	err := paragraphs(status, func(p deb822.Paragraph) {
		state := strings.Fields(p.Get("Status"))
		if len(state) != 3 || slices.Contains([]string{"not-installed", "config-files"}, state[2]) {
			return
		}
		out[packageKey{p.Get("Package"), p.Get("Architecture")}] = installed{version: p.Get("Version")}
	})
	if err != nil {
		return nil, err
	}
	// apt names the machine's architecture for packages of every one.
	err = paragraphs(extended, func(p deb822.Paragraph) {
		if p.Get("Auto-Installed") != "1" {
			return
		}
		for _, arch := range []string{p.Get("Architecture"), "all"} {
			k := packageKey{p.Get("Package"), arch}
			if have, ok := out[k]; ok {
				have.auto = true
				out[k] = have
			}
		}
	})
	return out, err
}

func paragraphs(text string, f func(deb822.Paragraph)) error {
	for r := deb822.NewReader(text); ; {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f(p)
	}
}

// comparePackages says how what is above differs from what is below, by name.
func comparePackages(below, above map[packageKey]installed) (out []PackageChange) {
	for k, now := range above {
		c := PackageChange{Name: k.name, Arch: k.arch, To: now.version, Auto: now.auto}
		was, ok := below[k]
		c.From = was.version
		switch {
		case !ok:
			c.Change = "added"
		case was.version != now.version && debversion.Compare(now.version, was.version) < 0:
			c.Change = "downgraded"
		case was.version != now.version:
			c.Change = "upgraded"
		case was.auto && !now.auto:
			c.Change = "manual"
		case !was.auto && now.auto:
			c.Change = "auto"
		default:
			continue
		}
		out = append(out, c)
	}
	for k, was := range below {
		if _, ok := above[k]; !ok {
			out = append(out, PackageChange{Name: k.name, Arch: k.arch, Change: "removed", From: was.version})
		}
	}
	slices.SortFunc(out, func(a, b PackageChange) int { return strings.Compare(a.Name+":"+a.Arch, b.Name+":"+b.Arch) })
	return out
}

// text reads a file of a package manager; one that is not there is empty.
func text(name string) (string, error) {
	b, err := regular.Read(name, maxStatus)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(b), err
}

// ErrPackages says that dpkg's notes of the machine are not whole: nothing can be
// told by them.
var ErrPackages = errors.New("the machine's packages are not in order")

// CheckPackages is ErrPackages when dpkg's notes of the machine below root cannot be
// read, are cut off, or speak of packages that are half installed. A machine without
// dpkg is in order.
func CheckPackages(root string) error {
	if _, err := os.Stat(filepath.Join(root, path.Dir(statusFile))); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	status, err := text(filepath.Join(root, statusFile))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPackages, err)
	}
	self, half := false, ""
	err = paragraphs(status, func(p deb822.Paragraph) {
		state := strings.Fields(p.Get("Status"))
		if len(state) != 3 || p.Get("Package") == "" || state[2] != "not-installed" && p.Get("Version") == "" {
			half = cmp.Or(half, p.Get("Package"), "a package without a name")
			return
		}
		switch state[2] {
		case "half-installed", "unpacked", "half-configured":
			half = cmp.Or(half, p.Get("Package"))
		}
		self = self || p.Get("Package") == "dpkg" && state[2] == "installed"
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrPackages, statusFile, err)
	case status != "" && !strings.HasSuffix(status, "\n\n"): // dpkg ends every package with an empty line
		return fmt.Errorf("%w: %s is cut off", ErrPackages, statusFile)
	case half != "":
		return fmt.Errorf("%w: %s is half installed", ErrPackages, half)
	case !self:
		return fmt.Errorf("%w: %s does not speak of dpkg itself", ErrPackages, statusFile)
	}
	return nil
}
