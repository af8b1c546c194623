package registry

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/oci"
)

// archived exports an image of two packages on a parent as a tar.
func archived(t *testing.T) (file string, id image.ID) {
	t.Helper()
	s := open(t)
	parent := addImage(t, s, image.ID{}, addPackage(t, s, "one", "usr/bin/one", strings.Repeat("some text ", 1<<12)))
	id = addImage(t, s, parent, addPackage(t, s, "two", "usr/bin/two", "second"))
	if err := s.AddSignature(id, []byte("what it is worth is decided elsewhere")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "layout")
	if err := Export(t.Context(), s, id, "steve/two:1", dir); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := oci.Archive(dir, &b); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, id
}

func openFiles(t *testing.T, file string) *oci.Files {
	t.Helper()
	f, err := oci.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestAFileBringsTheSameImage(t *testing.T) {
	file, id := archived(t)
	to := open(t)
	got, name, err := Import(t.Context(), to, openFiles(t, file), file, "", Options{})
	if err != nil || got != id || name != "steve/two:1" {
		t.Fatalf("%s %q: %v", got.Short(), name, err)
	}
	if damage, err := to.Verify(t.Context(), id); err != nil || len(damage) > 0 {
		t.Errorf("damage %v, %v", damage, err)
	}
	if list, err := to.Signatures(id); err != nil || len(list) != 1 {
		t.Errorf("%d signatures: %v", len(list), err)
	}
	if o, err := to.Origin(id); err != nil || o == nil || o.From != file || o.References[0] != "steve/two:1" {
		t.Errorf("origin %+v, %v", o, err)
	}
}

// change rewrites one member of an archive, or leaves it out.
func change(t *testing.T, file string, which func(name string, b []byte) bool, how func([]byte) []byte) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	changed := 0
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg && which(h.Name, content) {
			changed++
			if content = how(content); content == nil {
				continue
			}
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if changed == 0 {
		t.Fatal("there is no such member")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "changed")
	if err := os.WriteFile(to, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestABadFileLeavesNothingVisible(t *testing.T) {
	file, id := archived(t)
	blob := func(name string, b []byte) bool { return strings.HasPrefix(name, "blobs/") }
	flip := func(b []byte) []byte {
		c := bytes.Clone(b)
		c[len(c)/2] ^= 1
		return c
	}
	for name, c := range map[string]struct {
		which func(string, []byte) bool
		how   func([]byte) []byte
	}{
		"every blob damaged": {blob, flip},
		"every blob cut":     {blob, func(b []byte) []byte { return b[:len(b)/2] }},
		"blobs missing":      {func(n string, b []byte) bool { return blob(n, b) && bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")) }, func([]byte) []byte { return nil }},
		"a newer layout":     {func(n string, _ []byte) bool { return n == "oci-layout" }, func([]byte) []byte { return []byte(`{"imageLayoutVersion":"2.0.0"}`) }},
		"no index":           {func(n string, _ []byte) bool { return n == "index.json" }, func([]byte) []byte { return nil }},
		"an index of text":   {func(n string, _ []byte) bool { return n == "index.json" }, func([]byte) []byte { return []byte("hello") }},
		"an index of others": {func(n string, _ []byte) bool { return n == "index.json" }, func([]byte) []byte {
			return []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1}]}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			to := open(t)
			_, _, err := Import(t.Context(), to, openFiles(t, change(t, file, c.which, c.how)), file, "x", Options{})
			if !errors.Is(err, ErrRefused) && !errors.Is(err, oci.ErrRefused) {
				t.Errorf("got %v", err)
			}
			if tags, _ := to.Tags(); len(tags) > 0 || to.HasImage(id) {
				t.Error("something is visible")
			}
		})
	}
}
