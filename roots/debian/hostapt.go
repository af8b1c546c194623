package debian

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/internal/regular"
	"ninefold/roots/debian/deb822"
)

const maxSourceFile = 1 << 20

// HostSource is one archive that a machine's apt uses (sources.list(5)).
type HostSource struct {
	URI        string
	Suites     []string
	Components []string
	// SignedBy are keyring files; Key is an armored key given in place.
	SignedBy []string
	Key      string
}

// HostSources reads the enabled binary archives from the apt configuration of
// the machine whose root directory is root, in apt's order. A file that cannot
// be understood is passed over, as one bad line of a stranger must not keep
// images from being built; no source at all is not an error.
func HostSources(root string) []HostSource {
	etc := filepath.Join(root, "etc/apt")
	files := []string{filepath.Join(etc, "sources.list")}
	if entries, err := os.ReadDir(filepath.Join(etc, "sources.list.d")); err == nil {
		for _, e := range entries {
			files = append(files, filepath.Join(etc, "sources.list.d", e.Name()))
		}
	}
	var out []HostSource
	for _, file := range files {
		data, err := regular.Read(file, maxSourceFile)
		if err != nil {
			continue
		}
		switch filepath.Ext(file) {
		case ".list":
			out = append(out, parseList(string(data))...)
		case ".sources":
			sources, err := parseSources(string(data))
			if err == nil {
				out = append(out, sources...)
			}
		}
	}
	return out
}

// parseSources reads the deb822 style.
func parseSources(text string) ([]HostSource, error) {
	var out []HostSource
	for r := deb822.NewReader(text); ; {
		p, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("apt sources: %w", err)
		}
		if no(p.Get("Enabled")) || !slices.Contains(words(p.Get("Types")), "deb") {
			continue
		}
		var files []string
		key := p.Get("Signed-By")
		if strings.Contains(key, "-----BEGIN") {
			key = inlineKey(key)
		} else {
			files, key = words(key), ""
		}
		for _, uri := range words(p.Get("URIs")) {
			out = append(out, HostSource{uri, words(p.Get("Suites")), words(p.Get("Components")), files, key})
		}
	}
}

// inlineKey undoes deb822's quoting: a leading blank, and "." for an empty
// line.
func inlineKey(value string) string {
	var b strings.Builder
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); line == "." {
			line = ""
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

func no(v string) bool {
	return slices.Contains([]string{"no", "false", "without", "off", "disable"}, strings.ToLower(v))
}

func words(value string) []string {
	return strings.Fields(strings.Join(deb822.Lines(value), " "))
}

// parseList reads the one-line style: deb [option=value ...] uri suite
// [component...].
func parseList(text string) []HostSource {
	var out []HostSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '\t' {
			continue
		}
		rest = strings.TrimSpace(rest)
		var s HostSource
		if after, ok := strings.CutPrefix(rest, "["); ok {
			options, tail, ok := strings.Cut(after, "]")
			if !ok {
				continue
			}
			rest = tail
			for _, o := range strings.Fields(options) {
				if v, ok := strings.CutPrefix(strings.ToLower(o), "signed-by="); ok && v != "" {
					s.SignedBy = strings.Split(o[len("signed-by="):], ",")
				}
			}
		}
		f := strings.Fields(rest)
		if len(f) < 2 {
			continue
		}
		s.URI, s.Suites, s.Components = f[0], f[1:2], f[2:]
		out = append(out, s)
	}
	return out
}

// isDebian reports whether s serves Debian itself, by its keys when it names
// any and by its address otherwise.
func (s HostSource) isDebian() bool {
	if !strings.HasPrefix(s.URI, "http://") && !strings.HasPrefix(s.URI, "https://") && !strings.HasPrefix(s.URI, "file:/") {
		return false
	}
	if !slices.Contains(s.Components, "main") {
		return false
	}
	for _, f := range s.SignedBy {
		if strings.HasPrefix(filepath.Base(f), "debian-archive") {
			return true
		}
	}
	uri := strings.TrimRight(s.URI, "/")
	return strings.HasSuffix(uri, "/debian") || strings.HasSuffix(uri, "/debian-security") || strings.Contains(uri, "/archive/debian")
}
