package manager

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"ninefold/roots/compat"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/sessiond/desktop"
	"ninefold/sessiond/identity"
)

// imageFactsVersion changes when imageFacts would hold something else for the
// same image.
const imageFactsVersion = 2

// imageFacts is what a session start must know of an image. It is read off
// the image's packages once, so that a start reads one small file instead of
// some ten thousand entries, and trusts no file of a mounted root.
type imageFacts struct {
	Version  int
	Accounts identity.Accounts
	// Programs are absolute names of shells that the image has.
	Programs []string
	Locales  []string
	ZoneInfo bool
	// Sessions are the desktops that the image has.
	Sessions []desktop.Session
}

func (f *imageFacts) has(name string) bool { return slices.Contains(f.Programs, name) }

// hasLocale compares names as setlocale(3) does: "de_DE.UTF-8" is "de_DE.utf8"
// on disk.
func (f *imageFacts) hasLocale(name string) bool {
	if name == "C" || name == "POSIX" {
		return true
	}
	return slices.ContainsFunc(f.Locales, func(l string) bool { return foldLocale(l) == foldLocale(name) })
}

func foldLocale(s string) string {
	lang, charset, ok := strings.Cut(s, ".")
	if !ok {
		return lang
	}
	return lang + "." + strings.ReplaceAll(strings.ToLower(charset), "-", "")
}

// maxAccounts bounds passwd and group of an image.
const maxAccounts = 1 << 20

// factsOf reads the facts of an image off its entries.
func factsOf(t *image.Tree, objects compat.Objects) (*imageFacts, error) {
	base, err := compat.NewTree(t.Entries, objects)
	if err != nil {
		return nil, err
	}
	f := &imageFacts{Version: imageFactsVersion}
	if f.Accounts.Passwd, err = contentOf(t, objects, "etc/passwd"); err != nil {
		return nil, err
	}
	if f.Accounts.Group, err = contentOf(t, objects, "etc/group"); err != nil {
		return nil, err
	}
	listed, err := contentOf(t, objects, "etc/shells")
	if err != nil {
		return nil, err
	}
	candidates := []string{"/bin/sh", "/usr/bin/sh", "/bin/bash", "/usr/bin/bash"}
	for line := range strings.Lines(listed) {
		if s := strings.TrimSpace(line); strings.HasPrefix(s, "/") && path.Clean(s) == s {
			candidates = append(candidates, s)
		}
	}
	for _, s := range candidates {
		if ok, _ := base.Exists(s); ok && !slices.Contains(f.Programs, s) {
			f.Programs = append(f.Programs, s)
		}
	}
	f.ZoneInfo, _ = base.Exists("usr/share/zoneinfo/Europe")
	for i := range t.Entries {
		if name, ok := strings.CutPrefix(t.Entries[i].Path, "usr/lib/locale/"); ok && !strings.Contains(name, "/") {
			f.Locales = append(f.Locales, name)
		}
	}
	f.Sessions, err = sessionsOf(t, objects)
	return f, err
}

// contentOf returns the text of a small file of the image, "" when the image
// has none. Links are not followed: these files are files.
func contentOf(t *image.Tree, objects compat.Objects, name string) (string, error) {
	e, _, ok := t.Lookup(name)
	if !ok || e.Kind != pkg.File {
		return "", nil
	}
	if e.Size > maxAccounts {
		return "", fmt.Errorf("image's /%s: %d bytes, at most %d are read", name, e.Size, maxAccounts)
	}
	f, err := objects.Object(e.Digest)
	if err != nil {
		return "", fmt.Errorf("image's /%s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAccounts))
	return string(b), err
}
