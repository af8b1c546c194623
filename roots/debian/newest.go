package debian

import (
	"context"
	"fmt"
	"strings"

	"ninefold/roots/debversion"
	"ninefold/roots/lock"
)

// Newest asks the archives that a lock names for the newest version of each of
// its packages. keyring is what the recipe says of keys, "" for those of the machine;
// allowExpired is the recipe's, too. Errors are those of verifying an archive.
func Newest(ctx context.Context, l *lock.Lock, keyring string, allowExpired bool, o Options) (map[string]lock.Available, error) {
	o = o.filled()
	var list []archive
	for _, s := range append([]lock.Source{l.Source}, l.Updates...) {
		if s.Suite == "" {
			continue // a lock without packages
		}
		one, err := archives(lock.Question{Recipe: l.Recipe, Suite: s.Suite, Components: s.Components, Mirror: s.Mirror, Keyring: keyring, AllowExpired: allowExpired}, o.Root)
		if err != nil {
			return nil, err
		}
		one[0].offline = o.Offline
		list = append(list, one[0])
	}
	out := map[string]lock.Available{}
	if len(list) == 0 {
		return out, nil
	}
	defer sweep(o.Dir)
	repos, err := openArchives(ctx, list, l.Arch, o.Dir, o.Now(), o.Sink)
	if err != nil {
		return nil, fmt.Errorf("archives of recipe %s: %w", l.Recipe, err)
	}
	x := newIndex()
	for _, r := range repos {
		for _, text := range r.indices {
			if err := x.add(r.mirror, text); err != nil {
				return nil, err
			}
		}
		r.indices = nil
	}
	for _, p := range l.Packages {
		for _, e := range x.byName[p.Name] {
			if debversion.Compare(e.pkg.Version, out[p.Name].Version) > 0 || out[p.Name].Version == "" {
				out[p.Name] = lock.Available{Version: e.pkg.Version, Source: e.sourceVersion()}
			}
		}
	}
	return out, nil
}

// sourceVersion is that of the source package, which is named where it is
// another (Debian policy 5.6.1).
func (e *entry) sourceVersion() string {
	for line := range strings.Lines(e.relations) {
		if value, ok := strings.CutPrefix(line, "Source: "); ok {
			if _, version, ok := strings.Cut(value, "("); ok {
				return strings.Trim(version, " )\n")
			}
		}
	}
	return e.pkg.Version
}
