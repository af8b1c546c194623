package deb

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
)

var demo = Identity{Name: "demo", Version: "1", Arch: "amd64"}

func TestFromTar(t *testing.T) {
	owned := reg("home/u/file", "x")
	owned.Uid, owned.Uname = 1000, "u"
	b := compress(t, ".gz", tarBytes(t, sym("bin", "usr/bin"), dir("usr/bin/"), reg("usr/bin/sh", "elf"), owned))
	sum := pkg.Digest(sha256.Sum256(b))
	for name, r := range map[string]io.Reader{"file": bytes.NewReader(b), "stream": io.MultiReader(bytes.NewReader(b))} {
		m := &memory{}
		p, err := FromTar(context.Background(), r, sum, demo, m, Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := "f 0644 1000:0 home/u/file\nd 0755 0:0 usr/bin\nf 0644 0:0 usr/bin/sh\n"
		if got := listing(p); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestFromTarChecksum(t *testing.T) {
	b := tarBytes(t, reg("a", "x"))
	wrong := pkg.Digest{1}
	m := &memory{}
	if _, err := FromTar(context.Background(), bytes.NewReader(b), wrong, demo, m, Options{}); !errors.Is(err, ErrChecksum) {
		t.Errorf("file: %v", err)
	}
	if len(m.have) > 0 {
		t.Error("content of a wrong tarball was stored")
	}
	if _, err := FromTar(context.Background(), io.MultiReader(bytes.NewReader(b)), wrong, demo, m, Options{}); !errors.Is(err, ErrChecksum) {
		t.Errorf("stream: %v", err)
	}
}

func TestFromTarRefusesLayersAndDevices(t *testing.T) {
	for name, m := range map[string]member{
		"whiteout": reg("etc/.wh.passwd", ""),
		"opaque":   reg("etc/.wh..wh..opq", ""),
		"device":   {tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, ""},
		"escape":   reg("../x", ""),
	} {
		_, err := FromTar(context.Background(), bytes.NewReader(tarBytes(t, m)), pkg.Digest{}, demo, &memory{}, Options{})
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	null := member{tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, ""}
	p, err := FromTar(context.Background(), bytes.NewReader(tarBytes(t, null)), pkg.Digest{}, demo, &memory{}, Options{Devices: true})
	if err != nil || p.Entries[0].Major != 1 || p.Entries[0].Minor != 3 {
		t.Errorf("with devices allowed: %+v, %v", p, err)
	}
}

func writeTree(t *testing.T, root string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "lib", "deep"), 0o755))
	must(os.WriteFile(filepath.Join(root, "lib", "a.so.1"), []byte("elf"), 0o644))
	must(unix.Chmod(filepath.Join(root, "lib", "a.so.1"), 0o4755))
	must(os.Symlink("a.so.1", filepath.Join(root, "lib", "a.so")))
	must(os.Link(filepath.Join(root, "lib", "a.so.1"), filepath.Join(root, "lib", "deep", "same")))
	must(unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	must(os.WriteFile(filepath.Join(root, "odd\nname\xff"), nil, 0o600))
}

func TestFromDirectory(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root)
	// A link that leads out is kept as a link and never followed.
	if err := os.Symlink("../../../etc", filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	p, err := FromDirectory(context.Background(), root, demo, m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]pkg.Kind{"fifo": pkg.Fifo, "odd\nname\xff": pkg.File, "out": pkg.Symlink, "usr/lib": pkg.Dir, "usr/lib/a.so": pkg.Symlink,
		"usr/lib/a.so.1": pkg.File, "usr/lib/deep": pkg.Dir, "usr/lib/deep/same": pkg.File}
	if len(p.Entries) != len(want) {
		t.Errorf("entries: %s", listing(p))
	}
	for path, kind := range want {
		if e := p.Entry(path); e == nil || e.Kind != kind {
			t.Errorf("%q is %+v, want kind %d", path, e, kind)
		}
	}
	e := p.Entry("usr/lib/deep/same")
	if e.Link != "usr/lib/a.so.1" || e.Mode != 0o4755 || e.UID != uint32(os.Getuid()) || string(m.have[e.Digest]) != "elf" {
		t.Errorf("hard link: %+v", e)
	}
}

func TestFromDirectoryRefuses(t *testing.T) {
	root := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(root, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := FromDirectory(context.Background(), root, demo, &memory{}, Options{}); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "sock") {
		t.Errorf("socket: %v", err)
	}
	deep := t.TempDir()
	p := deep
	for range maxDepth + 2 {
		p += "/d"
	}
	if err := os.MkdirAll(p, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := FromDirectory(context.Background(), deep, demo, &memory{}, Options{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("deep: %v", err)
	}
	if _, err := FromDirectory(context.Background(), filepath.Join(root, "gone"), demo, &memory{}, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// A store that swaps a directory for a link while the tree is read.
type swapping struct {
	memory
	swap func()
}

func (s *swapping) Put(ctx context.Context, r io.Reader) (pkg.Digest, int64, error) {
	if s.swap != nil {
		s.swap()
		s.swap = nil
	}
	return s.memory.Put(ctx, r)
}

func TestFromDirectoryIsNotLedAstray(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"a", "b/secret"} {
		if err := os.WriteFile(filepath.Join(root, f), []byte("own"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &swapping{}
	s.swap = func() {
		if err := errors.Join(os.RemoveAll(filepath.Join(root, "b")), os.Symlink(outside, filepath.Join(root, "b"))); err != nil {
			t.Error(err)
		}
	}
	p, err := FromDirectory(context.Background(), root, demo, s, Options{})
	if err == nil && p.Entry("b").Kind != pkg.Symlink {
		t.Errorf("read through a link: %s", listing(p))
	}
	for _, b := range s.have {
		if string(b) == "secret" {
			t.Error("a file outside of the tree was stored")
		}
	}
}
