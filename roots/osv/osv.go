// Package osv knows of holes in Debian packages: it reads records in the OSV
// format (https://ossf.github.io/osv-schema/, 1.7), keeps what they say of Debian in a
// database of its own, and answers whether a version is affected.
//
// In the ecosystems "Debian:12" and so on a record names source packages and
// their versions, which deb-version(7) orders.
package osv

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ninefold/roots/debversion"
)

// ErrFormat says that something is no record, or not one that can be made use of.
var ErrFormat = errors.New("not an OSV record")

// Ecosystem begins the ecosystems that are kept; after it comes a colon and
// the number of the release.
const Ecosystem = "Debian"

// Bounds of one record.
const (
	MaxRecord   = 16 << 20 // bytes of JSON
	maxText     = 300      // bytes of an id, name or version
	maxNames    = 500
	maxAffected = 2000
	maxEvents   = 2000 // of one package
	maxVersions = 20000
)

// Hole is one vulnerability, as far as it is in packages of Debian's.
type Hole struct {
	ID string
	// Names are its other names: aliases, and what it was made of (a CVE).
	Names    []string
	Affected []Affected
}

// Affected says which versions of a source package have it, in one release.
type Affected struct {
	// Release is what follows "Debian:", "" when the record names none.
	Release string
	Source  string
	// Events are those of each range, sorted by version.
	Ranges [][]Event
	// Versions are affected whatever the ranges say; they are kept only where
	// there are none.
	Versions []string
}

// Event is where a range begins or ends; one field is set.
type Event struct {
	Introduced   string // "0" is before every version
	Fixed        string
	LastAffected string
}

func (e Event) version() string { return e.Introduced + e.Fixed + e.LastAffected }

// Parse reads a record. It returns nil for one that was withdrawn, or says
// nothing of Debian. Fields that it does not know are left out, as the format wants.
func Parse(b []byte) (*Hole, error) {
	if len(b) > MaxRecord {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrFormat, MaxRecord)
	}
	var r struct {
		ID        string   `json:"id"`
		Withdrawn string   `json:"withdrawn"`
		Aliases   []string `json:"aliases"`
		Upstream  []string `json:"upstream"`
		Affected  []struct {
			Package struct {
				Ecosystem string `json:"ecosystem"`
				Name      string `json:"name"`
			} `json:"package"`
			Ranges []struct {
				Type   string              `json:"type"`
				Events []map[string]string `json:"events"`
			} `json:"ranges"`
			Versions []string `json:"versions"`
		} `json:"affected"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	h := &Hole{ID: r.ID, Names: append(r.Aliases, r.Upstream...)}
	slices.Sort(h.Names)
	h.Names = slices.Compact(h.Names)
	for _, a := range r.Affected {
		system, release, _ := strings.Cut(a.Package.Ecosystem, ":")
		if system != Ecosystem {
			continue
		}
		out := Affected{Release: release, Source: a.Package.Name}
		for _, one := range a.Ranges {
			if one.Type != "ECOSYSTEM" {
				continue // commits of a repository
			}
			events, err := readEvents(one.Events)
			if err != nil {
				return nil, fmt.Errorf("%w: %.*q: %w", ErrFormat, maxText, r.ID, err)
			}
			out.Ranges = append(out.Ranges, events)
		}
		if len(out.Ranges) == 0 {
			out.Versions = a.Versions
		}
		h.Affected = append(h.Affected, out)
	}
	if r.Withdrawn != "" || len(h.Affected) == 0 {
		return nil, nil
	}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("%w: %.*q: %w", ErrFormat, maxText, r.ID, err)
	}
	return h, nil
}

func readEvents(list []map[string]string) ([]Event, error) {
	var out []Event
	for _, m := range list {
		e := Event{Introduced: m["introduced"], Fixed: m["fixed"], LastAffected: m["last_affected"]}
		set := 0
		for _, v := range []string{e.Introduced, e.Fixed, e.LastAffected} {
			if v != "" {
				set++
			}
		}
		if m["limit"] != "" && set == 0 {
			continue // bounds where to look, and not what is affected
		}
		if set != 1 {
			return nil, fmt.Errorf("an event of %d kinds", set)
		}
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b Event) int {
		switch x, y := a.version(), b.version(); {
		case a.Introduced == "0" && b.Introduced == "0":
			return 0
		case a.Introduced == "0":
			return -1
		case b.Introduced == "0":
			return 1
		default:
			return debversion.Compare(x, y)
		}
	})
	return out, nil
}

func (h *Hole) check() error {
	if len(h.Names) > maxNames || len(h.Affected) > maxAffected {
		return fmt.Errorf("%d other names and %d packages", len(h.Names), len(h.Affected))
	}
	texts := append([]string{h.ID}, h.Names...)
	for _, a := range h.Affected {
		texts = append(texts, a.Source)
		if a.Release != "" {
			texts = append(texts, a.Release)
		}
		n := 0
		for _, r := range a.Ranges {
			n += len(r)
			for _, e := range r {
				texts = append(texts, e.version())
			}
		}
		if n > maxEvents || len(a.Versions) > maxVersions {
			return fmt.Errorf("%d events and %d versions of one package", n, len(a.Versions))
		}
		texts = append(texts, a.Versions...)
	}
	for _, t := range texts {
		if t == "" || len(t) > maxText || strings.ContainsFunc(t, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			return fmt.Errorf("%.*q is no name or version", maxText, t)
		}
	}
	return nil
}

// Is reports whether the hole goes by that name, in any case of letters.
func (h *Hole) Is(name string) bool {
	return strings.EqualFold(h.ID, name) || slices.ContainsFunc(h.Names, func(n string) bool { return strings.EqualFold(n, name) })
}

// Has reports whether a version has the hole, and returns the first version
// after it that does not, "" when none is known.
func (a *Affected) Has(version string) (has bool, fixed string) {
	if slices.Contains(a.Versions, version) {
		return true, ""
	}
	for _, events := range a.Ranges {
		in, end := false, ""
		for _, e := range events {
			switch {
			case e.Introduced != "":
				in = in || e.Introduced == "0" || debversion.Compare(version, e.Introduced) >= 0
			case e.Fixed != "":
				if debversion.Compare(version, e.Fixed) >= 0 {
					in = false
				} else if end == "" {
					end = e.Fixed
				}
			case debversion.Compare(version, e.LastAffected) > 0:
				in = false
			}
		}
		if in {
			return true, end
		}
	}
	return false, ""
}
