package contexts

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

// machineTree is a small machine, with what a pin holds and what it does not.
func machineTree(t *testing.T) Pin {
	t.Helper()
	root := t.TempDir()
	put(t, root, map[string]string{"etc/passwd": "root\n", "etc/one": "one", "usr/bin/tool": "tool", "var/lib/own/x": "hidden", "home/alice/.profile": "hers", "swap": "big"})
	for _, err := range []error{
		os.Link(filepath.Join(root, "etc/one"), filepath.Join(root, "etc/two")),
		os.Symlink("/usr/bin/tool", filepath.Join(root, "usr/bin/link")),
		os.Chown(filepath.Join(root, "usr/bin/tool"), 2, 3),
		unix.Chmod(filepath.Join(root, "usr/bin/tool"), 0o4755),
		unix.Setxattr(filepath.Join(root, "etc/one"), "user.note", []byte("mine"), 0),
		unix.Mkfifo(filepath.Join(root, "var/pipe"), 0o640),
		unix.Mknod(filepath.Join(root, "var/socket"), unix.S_IFSOCK|0o600, 0),
		os.Chtimes(filepath.Join(root, "etc"), now, now.Add(-time.Hour)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return Pin{Root: root, Without: []string{"/home", "/swap", "/var/lib/own"}}
}

func TestAPinHoldsTheMachineAsItWas(t *testing.T) {
	needs.Root(t)
	p := machineTree(t)
	layers, told := t.TempDir(), int64(-1)
	if err := p.Copy(t.Context(), layers, "2", func(n int64) { told = n }); err != nil {
		t.Fatal(err)
	}
	if told < 0 {
		t.Error("nobody was told what it takes")
	}
	// What becomes of the machine is not seen.
	if err := os.WriteFile(filepath.Join(p.Root, "usr/bin/tool"), []byte("another"), 0o755); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(layers, "2", "upper")
	if b, err := os.ReadFile(filepath.Join(at, "usr/bin/tool")); string(b) != "tool" {
		t.Errorf("the tool: %q, %v", b, err)
	}
	var st, other unix.Stat_t
	if err := unix.Stat(filepath.Join(at, "usr/bin/tool"), &st); err != nil || st.Uid != 2 || st.Gid != 3 || st.Mode&0o7777 != 0o4755 {
		t.Errorf("the tool: %+v, %v", st, err)
	}
	if text, err := os.Readlink(filepath.Join(at, "usr/bin/link")); text != "/usr/bin/tool" {
		t.Errorf("the link: %q, %v", text, err)
	}
	if err := errors.Join(unix.Stat(filepath.Join(at, "etc/one"), &st), unix.Stat(filepath.Join(at, "etc/two"), &other)); err != nil || st.Ino != other.Ino {
		t.Errorf("two names of one file: %d, %d, %v", st.Ino, other.Ino, err)
	}
	var note [8]byte
	if n, err := unix.Getxattr(filepath.Join(at, "etc/one"), "user.note", note[:]); err != nil || string(note[:n]) != "mine" {
		t.Errorf("the attribute: %q, %v", note[:max(n, 0)], err)
	}
	if d, err := os.Stat(filepath.Join(at, "etc")); err != nil || !d.ModTime().Equal(now.Add(-time.Hour)) {
		t.Errorf("the directory: %v, %v", d.ModTime(), err)
	}
	for name, want := range map[string][]string{"home": nil, "var/lib/own": nil, "var": {"lib", "pipe"}, ".": {"etc", "home", "usr", "var"}} {
		entries, err := os.ReadDir(filepath.Join(at, name))
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("%s holds %v, %v; want %v", name, names, err, want)
		}
	}
}

func TestAPinThatDoesNotFitIsRefused(t *testing.T) {
	needs.Root(t)
	p := machineTree(t)
	if err := os.WriteFile(filepath.Join(p.Root, "usr/large"), make([]byte, 4<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	layers := t.TempDir()
	if err := unix.Mount("tmpfs", layers, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(layers, unix.MNT_DETACH) })
	var full *NoRoomError
	if err := p.Copy(t.Context(), layers, "2", func(int64) { t.Error("told as if it went on") }); !errors.As(err, &full) || full.Needs < 4<<20 {
		t.Errorf("%v", err)
	}
}

func TestAPinnedContextKeepsWhatItStandsOn(t *testing.T) {
	needs.Root(t)
	s, p := On(t.TempDir()), machineTree(t)
	r := create(t, s, 0, "foo")
	layer := s.LayerDir(r, r.Layer)
	put(t, layer, map[string]string{"upper/home/alice/new": "in the context", "upper/etc/one": "changed"})
	claim, err := s.Claim(r)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	if err := claim.Snapshot(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if err := claim.Pin(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	got, err := s.Find(0, "foo")
	if err != nil || got.Stands.Pin != "3" || got.RecordVersion() != 3 || got.Points[0].Stands.Pin != "" {
		t.Errorf("the record: %+v, %v", got, err)
	}
	layer = s.LayerDir(got, got.Layer)
	if parts, err := Parts(layer); err != nil || !slices.Equal(parts, []string{"/home"}) {
		t.Errorf("parts: %v, %v", parts, err)
	}
	if b, err := os.ReadFile(filepath.Join(layer, "@home/upper/alice/new")); string(b) != "in the context" {
		t.Errorf("what was written in a home: %q, %v", b, err)
	}
	// Back on the host the pin stays for undo, and goes when no state names it.
	next, err := claim.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Replace(next, "follow", Stands{Packages: "p", Release: "r"}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Tree(got, "3")); err != nil {
		t.Errorf("the pin, for undo: %v", err)
	}
	for range MaxPoints {
		if err := claim.Snapshot(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(s.Tree(got, "3")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pin of no state: %v", err)
	}
	made, err := claim.Clone(t.Context(), "bar", 0, now)
	if err != nil || made.Stands.Pin != "" {
		t.Errorf("a clone: %+v, %v", made, err)
	}
}

func TestACloneOfAPinnedContextSharesThePin(t *testing.T) {
	needs.Root(t)
	s, p := On(t.TempDir()), machineTree(t)
	r, err := s.CreateFilled(t.Context(), Record{Name: "foo", Created: now}, func(layers string, r *Record) error {
		r.Last, r.Stands.Pin = 2, "2"
		return p.Copy(t.Context(), layers, "2", nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	claim, err := s.Claim(r)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	made, err := claim.Clone(t.Context(), "bar", 0, now)
	if err != nil {
		t.Fatal(err)
	}
	var a, b unix.Stat_t
	if err := errors.Join(unix.Stat(filepath.Join(s.Tree(r, "2"), "usr/bin/tool"), &a), unix.Stat(filepath.Join(s.Tree(made, "2"), "usr/bin/tool"), &b)); err != nil || a.Ino != b.Ino {
		t.Errorf("%d, %d, %v", a.Ino, b.Ino, err)
	}
	if err := s.Delete(r); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(s.Tree(made, "2"), "usr/bin/tool")); string(b) != "tool" {
		t.Errorf("after the first was deleted: %q, %v", b, err)
	}
}
