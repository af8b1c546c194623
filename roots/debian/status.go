package debian

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"ninefold/internal/regular"
	"ninefold/roots/debian/deb822"
	"ninefold/roots/lock"
)

// StatusFile is where dpkg keeps what is installed.
const StatusFile = "/var/lib/dpkg/status"

const maxStatus = 256 << 20

// statusText writes a dpkg status file in which the packages are installed. A
// package that the archive still has is described as the archive does it: apt
// takes one version with two descriptions for two versions, and would replace
// the one by the other.
func (x *index) statusText(packages []lock.Package) string {
	var b strings.Builder
	for _, p := range packages {
		b.WriteString("Status: install ok installed\n")
		if e := x.same(p); e != nil {
			b.WriteString(e.relations + "\n")
			continue
		}
		fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: %s\n", p.Name, p.Version, p.Arch)
		for _, f := range []struct{ name, value string }{
			{"Multi-Arch", p.MultiArch}, {"Provides", p.Provides}, {"Conflicts", p.Conflicts}, {"Breaks", p.Breaks},
		} {
			if f.value != "" {
				fmt.Fprintf(&b, "%s: %s\n", f.name, f.value)
			}
		}
		if p.Essential {
			b.WriteString("Essential: yes\n")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// same returns the very package of a lock, or nil. Of an installed package
// only name, version and architecture are known, and have to do.
func (x *index) same(p lock.Package) *entry {
	for _, e := range x.byName[p.Name] {
		if e.pkg.Version == p.Version && e.pkg.Arch == p.Arch && (p.SHA256.IsZero() || e.pkg.SHA256 == p.SHA256) {
			return e
		}
	}
	return nil
}

// Installed reads a dpkg status file and returns the packages that are
// installed, sorted by name. URL, Size and SHA256 are empty: dpkg does not
// keep them. A machine without the file is ErrNoApt.
func Installed(statusFile string) ([]lock.Package, error) {
	data, err := regular.Read(statusFile, maxStatus)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s, so this machine's packages are unknown; use an image as the base", ErrNoApt, statusFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read the installed packages: %w", err)
	}
	var out []lock.Package
	for r := deb822.NewReader(string(data)); ; {
		p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", statusFile, err)
		}
		// The third word is the state; triggers-pending and its like work, too.
		state := strings.Fields(p.Get("Status"))
		if len(state) != 3 || !slices.Contains([]string{"installed", "triggers-pending", "triggers-awaited"}, state[2]) {
			continue
		}
		out = append(out, described(p))
	}
	slices.SortStableFunc(out, func(a, b lock.Package) int { return strings.Compare(a.Name+":"+a.Arch, b.Name+":"+b.Arch) })
	return out, nil
}

func described(p deb822.Paragraph) lock.Package {
	return lock.Package{
		Name: p.Get("Package"), Version: p.Get("Version"), Arch: p.Get("Architecture"), MultiArch: p.Get("Multi-Arch"),
		Provides: p.Get("Provides"), Conflicts: p.Get("Conflicts"), Breaks: p.Get("Breaks"), Essential: p.Get("Essential") == "yes",
	}
}

// Described reads a package's control paragraph, for a solver to take it as
// installed.
func Described(control string) (lock.Package, error) {
	p, err := deb822.NewReader(control).Next()
	if err != nil {
		return lock.Package{}, fmt.Errorf("read a control paragraph: %w", err)
	}
	return described(p), nil
}
