package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

type entry struct {
	name, link, text string
	kind             byte
}

func archiveOf(t testing.TB, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		if err := w.WriteHeader(&tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Size: int64(len(e.text)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, e.text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestLinksStayInTheArchive tries to read what lies beside an archive or a layout.
func TestLinksStayInTheArchive(t *testing.T) {
	f, err := Open(archiveOf(t, entry{name: "./oci-layout", text: layoutText},
		entry{name: "a/layer.tar", text: "layer"},
		entry{name: "b/layer.tar", kind: tar.TypeSymlink, link: "../a/layer.tar"},
		entry{name: "c", kind: tar.TypeSymlink, link: "/etc/passwd"},
		entry{name: "d", kind: tar.TypeSymlink, link: "../../../etc/passwd"},
		entry{name: "e", kind: tar.TypeSymlink, link: "b/layer.tar"},
		entry{name: "f", kind: tar.TypeSymlink, link: "f"}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := f.read("b/layer.tar", 100); err != nil || string(b) != "layer" {
		t.Errorf("a link of docker save: %q, %v", b, err)
	}
	for _, name := range []string{"c", "d", "e", "f", "../a", "missing"} {
		if _, _, err := f.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(layoutText), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "index.json")); err != nil {
		t.Fatal(err)
	}
	if f, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Index(); err == nil {
		t.Error("an index outside of the layout was read")
	}
}

func TestABlobIsCheckedToItsEnd(t *testing.T) {
	const hex = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of hello
	f, err := Open(archiveOf(t, entry{name: "oci-layout", text: layoutText}, entry{name: blobs + "/" + hex, text: "hello"}, entry{name: blobs + "/" + strings.Repeat("a", 64), text: "hello"}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := f.Manifest(v1.Hash{Algorithm: "sha256", Hex: hex}); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	for _, h := range []v1.Hash{{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}, {Algorithm: "sha256", Hex: strings.Repeat("b", 64)},
		{Algorithm: "sha256", Hex: "../../oci-layout"}, {Algorithm: "sha512", Hex: hex}, {}} {
		if _, err := f.Manifest(h); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", h, err)
		}
	}
}

func TestOtherFilesAreNoImages(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{text, t.TempDir(), archiveOf(t, entry{name: "etc/passwd", text: "x"}), "/dev/null"} {
		if _, err := Open(name); !errors.Is(err, ErrNotImage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(text + "2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing one: %v", err)
	}
}

// FuzzOpen opens what is no archive, or a strange one, and reads all that is read of it.
func FuzzOpen(f *testing.F) {
	for _, e := range [][]entry{
		{{name: "oci-layout", text: layoutText}, {name: "index.json", text: `{"schemaVersion":2,"manifests":[]}`}},
		{{name: "manifest.json", text: `[{"Config":"c","Layers":["l"]}]`}, {name: "c", text: `{}`}},
	} {
		b, err := os.ReadFile(archiveOf(f, e...))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(t.TempDir(), "archive")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := Open(file)
		if err != nil {
			return
		}
		defer a.Close()
		if index, err := a.Index(); err == nil {
			for _, m := range index.Manifests {
				_, _ = a.Manifest(m.Digest)
			}
		}
		if s, err := a.Saved(); err == nil {
			for _, l := range s.Layers {
				if r, _, err := a.Open(l); err == nil {
					_, _ = io.Copy(io.Discard, r)
					r.Close()
				}
			}
		}
	})
}
