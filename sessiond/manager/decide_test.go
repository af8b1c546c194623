package manager

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ninefold/internal/regular"
	"ninefold/roots/compat"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// shelf is a store to put small images in.
type shelf struct {
	t *testing.T
	m *Manager
	s *store.Store
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	m := Open(Options{Config: t.TempDir(), State: t.TempDir()})
	m.host = hostWith(t, map[string]string{"usr/bin/hosttool": "", "var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n", "usr/share/cache.db": "host's"})
	s, err := m.Store()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &shelf{t, m, s}
}

// pack makes a package of files; each holds its text.
func (h *shelf) pack(name string, files map[string]string) *pkg.Package {
	h.t.Helper()
	p := &pkg.Package{Name: name, Version: "1", Arch: "all"}
	for path, text := range files {
		d, n, err := h.s.Put(context.Background(), strings.NewReader(text))
		if err != nil {
			h.t.Fatal(err)
		}
		p.Entries = append(p.Entries, pkg.Entry{Path: path, Kind: pkg.File, Mode: 0o755, Size: n, Digest: d})
	}
	slices.SortFunc(p.Entries, func(a, b pkg.Entry) int { return strings.Compare(a.Path, b.Path) })
	if _, err := h.s.PutPackage(p); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// image puts an image of one package, and of a finishing package when there
// are finished files, and tags it.
func (h *shelf) image(name string, parent image.ID, host string, files, finished map[string]string) image.ID {
	h.t.Helper()
	release, err := h.s.Build(context.Background(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	defer release()
	p := h.pack(name, files)
	id, err := p.ID()
	if err != nil {
		h.t.Fatal(err)
	}
	m := &image.Manifest{Version: 1, Name: name, Parent: parent, Host: host, Packages: []image.Ref{{Name: p.Name, Version: p.Version, Digest: id}},
		Environment: map[string]string{"FROM_" + strings.ToUpper(name): "yes"}}
	if finished != nil {
		if m.Finishing, err = h.pack(name+"-finishing", finished).ID(); err != nil {
			h.t.Fatal(err)
		}
	}
	got, err := h.s.PutImage(m)
	if err == nil {
		err = h.s.Tag(name, got)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

func (h *shelf) decide(q question) (*stack, error) {
	h.t.Helper()
	if q.compose == "" {
		q.compose = "auto"
	}
	return h.m.decide(context.Background(), h.s, q)
}

func pieces(k *stack) string {
	var b bytes.Buffer
	for _, p := range k.Pieces {
		b.WriteString(p.Name)
		if !p.Above.IsZero() {
			b.WriteString("+")
		}
		b.WriteString(" ")
	}
	if k.OnHost {
		b.WriteString("host")
	}
	return strings.TrimSpace(b.String())
}

func TestDecisions(t *testing.T) {
	h := newShelf(t)
	print, err := compat.Fingerprint(h.m.host.root)
	if err != nil {
		t.Fatal(err)
	}
	script := func(interpreter string) map[string]string {
		return map[string]string{"usr/bin/tool-" + strings.ReplaceAll(interpreter, "/", "-"): "#!/" + interpreter + "\n"}
	}
	root := h.image("root", image.ID{}, "", map[string]string{"usr/bin/basetool": "", "etc/shells": "/bin/fish\n", "bin/fish": ""}, nil)
	other := h.image("other", image.ID{}, "", map[string]string{"usr/bin/hosttool": "x"}, nil)
	fits := h.image("fits", root, "", script("usr/bin/hosttool"), nil)
	needs := h.image("needs", root, "", script("usr/bin/basetool"), nil)
	hides := h.image("hides", root, "", map[string]string{"usr/share/x": ""}, map[string]string{"usr/share/cache.db": "mine", "etc/passwd": ""})
	solved := h.image("solved", image.ID{}, print, script("usr/bin/nothing"), nil)
	moved := h.image("moved", image.ID{}, strings.Repeat("0", 64), script("usr/bin/hosttool"), nil)
	stuck := h.image("stuck", image.ID{}, strings.Repeat("0", 64), script("usr/bin/basetool"), nil)
	broken := h.image("broken", root, "", script("usr/bin/nowhere"), nil)
	extra := h.image("extra", fits, "", map[string]string{"usr/bin/extra": ""}, nil)

	for _, c := range []struct {
		what         string
		q            question
		kind, reason string
		pieces       string
	}{
		{"no runtime", question{}, "host", "no runtime", "host"},
		{"base alone", question{base: root}, "image", "no runtime", "root"},
		{"built on the base", question{base: root, runtime: needs}, "merge", "this very base", "needs"},
		{"fits on the host", question{runtime: fits}, "merge", "the host has every library", "fits+ host"},
		{"fits on another image", question{base: other, runtime: fits}, "merge", "other has every library", "fits+ other"},
		{"lacks", question{runtime: needs}, "full", "the host lacks 1 of the things", "needs"},
		{"lacks what its own base lacks too", question{runtime: broken}, "merge", "the host has every", "broken+ host"},
		{"hides", question{runtime: hides}, "full", "would hide 1 of the host", "hides"},
		{"told to be full", question{runtime: fits, compose: "full"}, "full", "the profile says so", "fits"},
		{"brings everything", question{runtime: root}, "full", "without a parent", "root"},
		{"solved against this host", question{runtime: solved}, "merge", "very packages", "solved host"},
		{"solved against another state", question{runtime: moved}, "merge", "the host has every", "moved host"},
		{"component of the runtime", question{base: root, runtime: fits, components: []image.ID{extra}}, "merge", "this very base", "extra+ fits"},
		{"component over its ancestor", question{base: root, components: []image.ID{extra}}, "image", "", "extra+ root"},
	} {
		k, err := h.decide(c.q)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if k.Decision.Kind != c.kind || !strings.Contains(k.Decision.Reason, c.reason) || pieces(k) != c.pieces {
			t.Errorf("%s: got %s (%s) of %q, want %s (%s) of %q", c.what, k.Decision.Kind, k.Decision.Reason, pieces(k), c.kind, c.reason, c.pieces)
		}
	}
	for what, q := range map[string]question{
		"told to merge what lacks something": {runtime: needs, compose: "merge"},
		"solved against another host":        {runtime: stuck},
		"no base of its own":                 {runtime: solved, compose: "full"},
		"foreign component":                  {base: other, components: []image.ID{extra}},
	} {
		if _, err := h.decide(q); !errors.Is(err, ErrIncompatible) {
			t.Errorf("%s: got %v, want ErrIncompatible", what, err)
		}
	}

	k, err := h.decide(question{base: root, runtime: fits, components: []image.ID{extra}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"FROM_ROOT", "FROM_FITS", "FROM_EXTRA"} {
		if k.Environment[name] != "yes" {
			t.Errorf("the environment of the chain lacks %s: %v", name, k.Environment)
		}
	}
	if !k.Facts.has("/bin/fish") || k.Facts.has("/bin/bash") {
		t.Errorf("shells: %q", k.Facts.Programs)
	}
}

func TestADecisionHoldsUntilTheHostChanges(t *testing.T) {
	h := newShelf(t)
	root := h.image("root", image.ID{}, "", map[string]string{"usr/bin/basetool": ""}, nil)
	q := question{runtime: h.image("fits", root, "", map[string]string{"usr/bin/x": "#!/usr/bin/hosttool\n"}, nil), compose: "auto"}
	k, err := h.decide(q)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.m.keepStack(q, k); err != nil {
		t.Fatal(err)
	}
	if got := h.m.readStack(q); got == nil || pieces(got) != "fits+ host" {
		t.Fatalf("the kept decision is not found: %+v", got)
	}
	other := q
	other.compose = "full"
	if h.m.readStack(other) != nil {
		t.Error("a decision holds for another question")
	}
	m := hostWith(t, map[string]string{"var/lib/dpkg/status": "Package: b\n"})
	h.m.host = m
	if h.m.readStack(q) != nil {
		t.Error("a decision about the host outlives a change of its packages")
	}
	if err := h.s.Untag("fits"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.s.GC(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := h.m.Forget(h.s); err != nil {
		t.Fatal(err)
	}
	if _, err := regular.Read(h.m.derived("stacks", q.key()), maxRecord); err == nil {
		t.Error("a decision about a collected image is kept")
	}
}

func FuzzDecodeStack(f *testing.F) {
	b, err := encodeStack(&stack{
		Version: stackVersion, Stamp: "s", OnHost: true, Decision: Decision{Kind: "full", Reason: "so", Missing: []compat.Missing{{Package: "p", Library: "l"}}},
		Pieces: []piece{{Name: "x"}}, Environment: map[string]string{"A": "b,c:1"},
		Facts: &imageFacts{Version: imageFactsVersion, Programs: []string{"/bin/sh"}, Locales: []string{"C.utf8"}, ZoneInfo: true},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("14:ninefold stack,1:1,1:1,"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeStack(b)
		if err != nil || s.explain() != nil {
			return
		}
		again, err := encodeStack(s)
		if err != nil {
			t.Fatal(err)
		}
		other, err := decodeStack(again)
		if err != nil || other.explain() != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		s.why, other.why = "", ""
		if !reflect.DeepEqual(s, other) {
			t.Fatalf("%+v is not %+v", other, s)
		}
	})
}

func TestTwoSessionsDoNotShareAKeptLayer(t *testing.T) {
	dir := keptDir(t.TempDir(), 1000, "x")
	k, err := claimKept(t.Context(), dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claimKept(t.Context(), dir, "x"); !errors.Is(err, ErrKeptInUse) {
		t.Errorf("got %v, want ErrKeptInUse", err)
	}
	k.release()
	again, err := claimKept(t.Context(), dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	again.release()
}
