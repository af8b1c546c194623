package debian

import (
	"fmt"
	"slices"
	"strings"

	"ninefold/roots/lock"
)

// archive is one suite at one mirror, and how it is believed.
type archive struct {
	mirror       string // without a slash at the end
	suite        string
	components   []string
	keyrings     []string
	key          string // armored, beside or instead of keyrings
	allowExpired bool
	// derived archives were concluded from the machine's configuration and may
	// turn out not to exist.
	derived bool
	// offline archives are those that were kept when they were asked last.
	offline bool
}

// Where Debian is found by a machine whose apt does not say so.
const (
	defaultMirror   = "http://deb.debian.org/debian"
	defaultSecurity = "http://deb.debian.org/debian-security"
)

// archives lists where q's packages come from, the suite itself first.
func archives(q lock.Question, root string) ([]archive, error) {
	if q.Suite == "" {
		return nil, fmt.Errorf("%w: neither recipe %s nor its parents name a suite in [source]", ErrNoSource, q.Recipe)
	}
	hosts := debianSources(root)
	main := archive{mirror: strings.TrimRight(q.Mirror, "/"), suite: q.Suite, components: q.Components, allowExpired: q.AllowExpired}
	base, from := hostBase(hosts)
	if main.mirror == "" {
		main.mirror = defaultMirror
		if from != nil {
			main.mirror = trimURI(from.URI)
		}
	}
	for _, h := range hosts {
		if trimURI(h.URI) == main.mirror {
			main.keyrings, main.key = h.SignedBy, h.Key
			break
		}
	}
	if q.Keyring != "" {
		main.keyrings, main.key = []string{q.Keyring}, ""
	}
	if len(main.keyrings) == 0 && main.key == "" {
		main.keyrings = defaultKeyrings(root)
	}
	out := []archive{main}
	// A mirror in the recipe names one archive of one time; updates from
	// elsewhere would mix times.
	if q.Mirror == "" && q.Updates {
		out = append(out, updates(main, hosts, base)...)
	}
	return out, nil
}

// updates finds the update and security suites that go with main: those that
// the machine uses for its own release, with that release's name replaced.
func updates(main archive, hosts []HostSource, base string) []archive {
	if strings.Contains(main.suite, "-") || slices.Contains([]string{"sid", "unstable", "testing", "experimental"}, main.suite) {
		return nil
	}
	var out []archive
	add := func(mirror, suite string, h HostSource) {
		for _, a := range out {
			if a.suite == suite {
				return
			}
		}
		a := main
		a.mirror, a.suite, a.derived = mirror, suite, true
		if len(h.SignedBy) > 0 || h.Key != "" {
			a.keyrings, a.key = h.SignedBy, h.Key
		}
		out = append(out, a)
	}
	for _, h := range hosts {
		for _, s := range h.Suites {
			switch s {
			case base + "-updates":
				add(trimURI(h.URI), main.suite+"-updates", h)
			case base + "-security", base + "/updates":
				add(trimURI(h.URI), main.suite+"-security", h)
			}
		}
	}
	if len(hosts) == 0 && main.mirror == defaultMirror {
		add(defaultMirror, main.suite+"-updates", HostSource{})
		add(defaultSecurity, main.suite+"-security", HostSource{})
	}
	return out
}

func debianSources(root string) []HostSource {
	var out []HostSource
	for _, s := range HostSources(root) {
		if s.isDebian() {
			out = append(out, s)
		}
	}
	return out
}

// hostBase returns the release that a machine runs, as its apt calls it, and
// the source that serves it: the first suite that is no addition to another.
func hostBase(hosts []HostSource) (string, *HostSource) {
	for i, h := range hosts {
		for _, s := range h.Suites {
			if !strings.ContainsAny(s, "-/") {
				return s, &hosts[i]
			}
		}
	}
	return "", nil
}

func trimURI(uri string) string {
	if path, ok := strings.CutPrefix(uri, "file:/"); ok && !strings.HasPrefix(path, "//") {
		uri = "file:///" + strings.TrimLeft(path, "/")
	}
	return strings.TrimRight(uri, "/")
}

// load reads the archive's keys.
func (a archive) load() (*Keyring, error) {
	if a.key == "" {
		return LoadKeyring(a.keyrings...)
	}
	k := &Keyring{}
	if err := k.add("the key in apt's sources", []byte(a.key)); err != nil {
		return nil, err
	}
	return k, nil
}
