package osv

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ninefold/internal/netstring"
	"ninefold/internal/record"
	"ninefold/internal/replace"
)

// ErrTooMuch says that records hold more than a database may.
var ErrTooMuch = errors.New("more than a database of holes can hold")

// kind is of the file; it bounds what all records together may say.
var kind = record.Kind{Magic: "9foldosv", Version: 1, Max: 768 << 20}

// Database is what is known of holes. It is read as a whole and never changes.
type Database struct {
	// Imported is when it was made.
	Imported time.Time
	entries  []entry
}

// entry is a hole, packed, and its names in lower case, each between two
// spaces: who looks for a name need not unpack the others.
type entry struct{ names, hole string }

// File is where the database of a state directory lies.
func File(state string) string { return filepath.Join(state, "osv", "debian") }

// Open reads a database: fs.ErrNotExist where there is none, record.ErrVersion
// for one that a newer program wrote.
func Open(file string) (*Database, error) {
	b, err := kind.Bytes(file)
	if err == nil {
		b, err = kind.Unseal(b)
	}
	if err != nil {
		return nil, fmt.Errorf("database of holes: %w", err)
	}
	r := netstring.Unpack(string(b))
	d := &Database{Imported: time.Unix(int64(r.Number()), 0)}
	for r.Rest() != "" {
		d.entries = append(d.entries, entry{r.Text(), r.Text()})
	}
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("database of holes: %w: %w", record.ErrDamaged, err)
	}
	return d, nil
}

// Len is how many holes are known.
func (d *Database) Len() int { return len(d.entries) }

// Named returns the holes that go by a name: a CVE is often several records.
func (d *Database) Named(name string) ([]*Hole, error) {
	want := " " + strings.ToLower(name) + " "
	var out []*Hole
	for _, e := range d.entries {
		if !strings.Contains(e.names, want) {
			continue
		}
		h, err := unpack(e.hole)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// Of returns the holes by the source packages that have them, those that
// sources names.
func (d *Database) Of(sources map[string]bool) (map[string][]*Hole, error) {
	out := map[string][]*Hole{}
	for _, e := range d.entries {
		h, err := unpack(e.hole)
		if err != nil {
			return nil, err
		}
		for i, a := range h.Affected {
			seen := slices.ContainsFunc(h.Affected[:i], func(b Affected) bool { return b.Source == a.Source })
			if sources[a.Source] && !seen {
				out[a.Source] = append(out[a.Source], h)
			}
		}
	}
	return out, nil
}

func pack(h *Hole) string {
	var w netstring.Packer
	w.Text(h.ID)
	w.Texts(h.Names)
	for _, a := range h.Affected {
		w.Text(a.Release)
		w.Text(a.Source)
		w.Texts(a.Versions)
		w.Number(len(a.Ranges))
		for _, events := range a.Ranges {
			w.Number(len(events))
			for _, e := range events {
				w.Text(e.Introduced)
				w.Text(e.Fixed)
				w.Text(e.LastAffected)
			}
		}
	}
	return w.String()
}

// unpack is the inverse of pack.
func unpack(text string) (*Hole, error) {
	r := netstring.Unpack(text)
	h := &Hole{ID: r.Text(), Names: r.Texts()}
	for r.Rest() != "" {
		a := Affected{Release: r.Text(), Source: r.Text(), Versions: r.Texts()}
		for range r.Count() {
			var events []Event
			for range r.Count() {
				events = append(events, Event{Introduced: r.Text(), Fixed: r.Text(), LastAffected: r.Text()})
			}
			a.Ranges = append(a.Ranges, events)
		}
		h.Affected = append(h.Affected, a)
	}
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("database of holes: %w: %w", record.ErrDamaged, err)
	}
	return h, nil
}

// gathering is a database that is being made.
type gathering struct {
	entries map[string]entry // by id
	bytes   int
}

func (g *gathering) add(h *Hole) error {
	e := entry{" " + strings.ToLower(strings.Join(append([]string{h.ID}, h.Names...), " ")) + " ", pack(h)}
	old := g.entries[h.ID]
	g.bytes += len(e.names) + len(e.hole) - len(old.names) - len(old.hole)
	g.entries[h.ID] = e
	if g.bytes > kind.Max/2 {
		return fmt.Errorf("%w: they take more than %d MiB", ErrTooMuch, kind.Max/2>>20)
	}
	return nil
}

// write puts what was gathered in place of the database in file.
func (g *gathering) write(file string, now time.Time) error {
	var w netstring.Packer
	w.Number(int(now.Unix()))
	for _, id := range slices.Sorted(maps.Keys(g.entries)) {
		w.Text(g.entries[id].names)
		w.Text(g.entries[id].hole)
	}
	b, err := kind.Seal([]byte(w.String()))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return replace.File(file, b, 0o600)
}
