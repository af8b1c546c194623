package foreign

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	embedded "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"ninefold/roots/driver"
	"ninefold/roots/export"
	"ninefold/roots/image"
	"ninefold/roots/oci"
	"ninefold/roots/registry"
	"ninefold/roots/store"
	"ninefold/tests/needs"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// layerOf makes a layer of names; a name that ends in a slash is a directory.
func layerOf(t *testing.T, names ...string) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names {
		h := &tar.Header{Name: n, Typeflag: tar.TypeReg, Mode: 0o644, Uid: 7, Size: int64(len(n))}
		if strings.HasSuffix(n, "/") {
			h.Typeflag, h.Mode, h.Size = tar.TypeDir, 0o755, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			io.WriteString(w, n)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// container is an image of three layers as others make it.
func container(t *testing.T, machine string) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layerOf(t, "etc/", "etc/passwd", "usr/bin/tool", "usr/lib/old"), layerOf(t, "usr/lib/.wh.old", "usr/lib/new"), layerOf(t, "etc/.wh..wh..opq", "etc/group"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", machine
	c.Config.Env = []string{"PATH=/usr/local/go/bin:/usr/bin", "HOME=/root", "GOLANG=1", "bad-name=x"}
	if img, err = mutate.ConfigFile(img, c); err != nil {
		t.Fatal(err)
	}
	return img
}

// accepting gives every image its name.
func accepting(s *store.Store, o Options) Options {
	o.Accept = func(_ context.Context, reference string, id image.ID) error { return s.Tag(reference, id) }
	return o
}

func paths(t *testing.T, s *store.Store, id image.ID) string {
	t.Helper()
	tree, err := driver.Tree(t.Context(), s, id)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range tree.Entries {
		out = append(out, e.Path)
	}
	return strings.Join(out, " ")
}

const joined = "etc etc/group usr usr/bin usr/bin/tool usr/lib usr/lib/new"

// TestContainersFromEverywhere brings one image from a registry, from a layout
// and from the archives that docker save and skopeo write.
func TestContainersFromEverywhere(t *testing.T) {
	img := container(t, runtime.GOARCH)
	server := httptest.NewServer(embedded.New(embedded.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/steve/tool:1"
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(t.TempDir(), "saved.tar")
	if err := tarball.WriteToFile(saved, tag, img); err != nil {
		t.Fatal(err)
	}
	s := open(t)
	bring := func(c *registry.Container, err error, o Options) (*Result, error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return Container(t.Context(), s, c, "somewhere", accepting(s, o))
	}
	c, err := registry.Remote(t.Context(), ref, registry.Options{})
	first, err := bring(c, err, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := paths(t, s, first.ID); got != joined || first.Reference != ref {
		t.Errorf("%s: %s", first.Reference, got)
	}
	m, err := s.Image(first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "tool" || len(m.Environment) != 2 || m.Environment["GOLANG"] != "1" || m.Environment["PATH"] != "/usr/local/go/bin:/usr/bin" {
		t.Errorf("image %s with %v", m.Name, m.Environment)
	}
	if o, err := s.Origin(first.ID); err != nil || o == nil || o.From != "somewhere" {
		t.Errorf("origin %+v, %v: it must count as one from outside", o, err)
	}
	for from, want := range map[string]image.ID{dir: first.ID, saved: {}} {
		files, err := oci.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		if _, _, err := registry.Import(t.Context(), s, files, from, "x", registry.Options{}); !errors.Is(err, registry.ErrNotOurs) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is taken for one of Ninefold's: %v", from, err)
		}
		c, err := registry.File(t.Context(), files)
		r, err := bring(c, err, Options{Reference: "steve/tool"})
		if err != nil {
			t.Fatal(err)
		}
		if got := paths(t, s, r.ID); got != joined || !want.IsZero() && r.ID != want {
			t.Errorf("%s: image %s: %s", from, r.ID.Short(), got)
		}
		r, err = bring(c, nil, Options{Reference: "steve/layer", Layer: 2})
		if err != nil {
			t.Fatal(err)
		}
		if got := paths(t, s, r.ID); got != "usr usr/lib usr/lib/new" || len(r.Notes.Removed) != 1 {
			t.Errorf("%s: layer 2: %s, %+v", from, got, r.Notes)
		}
		if _, err := bring(c, nil, Options{Reference: "x", Layer: 4}); !errors.Is(err, ErrLayer) {
			t.Errorf("layer 4: %v", err)
		}
	}
	t.Run("skopeo", func(t *testing.T) {
		needs.Programs(t, "skopeo")
		for _, form := range []string{"oci-archive", "docker-archive"} {
			to := filepath.Join(t.TempDir(), form)
			if b, err := exec.Command("skopeo", "--insecure-policy", "copy", "oci:"+dir, form+":"+to).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, b)
			}
			files, err := oci.Open(to)
			if err != nil {
				t.Fatal(err)
			}
			defer files.Close()
			c, err := registry.File(t.Context(), files)
			r, err := bring(c, err, Options{Reference: "steve/" + form})
			if err != nil {
				t.Fatal(err)
			}
			if got := paths(t, s, r.ID); got != joined {
				t.Errorf("%s: %s", form, got)
			}
		}
	})
}

func TestOtherMachinesAreToldApart(t *testing.T) {
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, machine := range []string{"s390x", "riscv64"} {
		if err := l.AppendImage(container(t, machine), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: machine})); err != nil {
			t.Fatal(err)
		}
	}
	look := func() (*registry.Container, error) {
		files, err := oci.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		return registry.File(t.Context(), files)
	}
	if _, err := look(); !errors.Is(err, registry.ErrPlatform) || !strings.Contains(err.Error(), "linux/riscv64 linux/s390x") {
		t.Errorf("got %v", err)
	}
	if err := l.AppendImage(container(t, runtime.GOARCH), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH})); err != nil {
		t.Fatal(err)
	}
	if c, err := look(); err != nil || c.Architecture != runtime.GOARCH {
		t.Errorf("got %v", err)
	}
}

// TestARootComesBack exports an image and imports it in each form that is no image
// of containers.
func TestARootComesBack(t *testing.T) {
	needs.Root(t)
	s := open(t)
	img := container(t, runtime.GOARCH)
	saved := filepath.Join(t.TempDir(), "saved.tar")
	tag, err := name.NewTag("steve/tool:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(saved, tag, img); err != nil {
		t.Fatal(err)
	}
	files, err := oci.Open(saved)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	c, err := registry.File(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	first, err := Container(t.Context(), s, c, saved, accepting(s, Options{Reference: "first"}))
	if err != nil {
		t.Fatal(err)
	}
	want, err := driver.Tree(t.Context(), s, first.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{export.Tar, export.Erofs, export.Squashfs, export.Dir} {
		file := filepath.Join(t.TempDir(), form)
		if err := export.Export(t.Context(), s, first.ID, "first", form, file); err != nil {
			t.Fatal(err)
		}
		if _, err := oci.Open(file); !errors.Is(err, oci.ErrNotImage) {
			t.Errorf("%s is taken for an image of containers: %v", form, err)
		}
		r, err := Root(t.Context(), s, file, accepting(s, Options{Reference: "t/" + form, InitDir: initDir}))
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		got, err := driver.Tree(t.Context(), s, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want.Entries {
			if len(got.Entries) != len(want.Entries) || !image.SameEntry(&got.Entries[i], &want.Entries[i]) {
				t.Errorf("%s: entry %d of %d and %d: %+v, want %+v", form, i, len(got.Entries), len(want.Entries), got.Entries[i], want.Entries[i])
				break
			}
		}
	}
}

func TestWhatIsNoRootIsRefused(t *testing.T) {
	s := open(t)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var whiteout bytes.Buffer
	r, err := layerOf(t, "a", ".wh.b").Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&whiteout, r); err != nil {
		t.Fatal(err)
	}
	erofs := make([]byte, 8192)
	copy(erofs[1024:], "\xe2\xe1\xf5\xe0")
	for _, c := range []struct {
		file string
		want error
	}{
		{write("text", []byte("hello")), ErrUnusable},
		{write("cut", whiteout.Bytes()[:700]), ErrUnusable},
		{write("layer", whiteout.Bytes()), ErrUnusable},
		{write("erofs", erofs), ErrUnusable},
		{"/dev/null", ErrForm},
		{filepath.Join(dir, "missing"), os.ErrNotExist},
	} {
		_, err := Root(t.Context(), s, c.file, accepting(s, Options{Reference: "x"}))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.file, err)
		}
	}
	if _, err := Root(t.Context(), s, write("good", nil), accepting(s, Options{})); !errors.Is(err, registry.ErrNameless) {
		t.Errorf("without a name: %v", err)
	}
	if tags, err := s.Tags(); err != nil || len(tags) > 0 {
		t.Errorf("named are %v (%v)", tags, err)
	}
}
