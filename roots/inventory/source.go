package inventory

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"ninefold/roots/finish"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Source is the source package that a binary package was made of.
type Source struct{ Name, Version string }

const (
	maxControl = 1 << 20
	sourceForm = "1\n" // of the note that the store keeps
)

// SourceOf says what package id was made of, the zero Source for one that is
// not Debian's: its control paragraph, which it holds as a file, names the source where that is
// called otherwise or has another version (Debian policy 5.6.1).
func SourceOf(s *store.Store, id pkg.Digest) (Source, error) {
	if note, ok := strings.CutPrefix(string(s.Note(store.Sources, id)), sourceForm); ok {
		name, version, _ := strings.Cut(note, "\n")
		return Source{name, version}, nil
	}
	p, err := s.Package(id)
	if err != nil {
		return Source{}, err
	}
	src := Source{}
	if e := p.Entry(path.Join(finish.ControlDir, p.Name)); e != nil && e.Kind == pkg.File {
		control, err := s.Content(e, maxControl)
		if err != nil {
			return src, fmt.Errorf("control paragraph of package %s: %w", p.Name, err)
		}
		src = sourceIn(string(control), p)
	}
	// A store that cannot be written to is asked again another time.
	_ = s.SetNote(store.Sources, id, []byte(sourceForm+src.Name+"\n"+src.Version))
	return src, nil
}

func sourceIn(control string, p *pkg.Package) Source {
	src := Source{p.Name, p.Version}
	for line := range strings.Lines(control) {
		field, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(field, "Source") {
			continue
		}
		name, version, other := strings.Cut(strings.TrimSpace(value), " ")
		if src.Name = name; other {
			src.Version = strings.Trim(version, "( )")
		}
	}
	return src
}

// release is the number of the Debian release that packages of an image are
// of (os-release(5)), "" when the chain does not tell.
func (w *Set) release(ctx context.Context, id pkg.Digest) (string, error) {
	const file = "usr/lib/os-release"
	release := ""
	for _, m := range w.chain(id) {
		for _, r := range m.Packages {
			if r.Name != "base-files" {
				continue
			}
			p, err := w.store.Package(r.Digest)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return "", err
			}
			e := p.Entry(file)
			if e == nil || e.Kind != pkg.File {
				continue
			}
			text, err := w.store.Content(e, maxControl)
			if err != nil {
				return "", fmt.Errorf("/%s of image %s: %w", file, m.Name, err)
			}
			for line := range strings.Lines(string(text)) {
				if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_ID="); ok {
					release = strings.Trim(v, `"'`)
				}
			}
		}
	}
	return release, ctx.Err()
}
