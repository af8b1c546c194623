package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

func open(t testing.TB) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "store"))
}

func openAt(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s *Store, content string) pkg.Digest {
	t.Helper()
	d, n, err := s.Put(context.Background(), strings.NewReader(content))
	if err != nil || n != int64(len(content)) {
		t.Fatalf("put: %d bytes, %v", n, err)
	}
	return d
}

// putPackage stores a package with one file for each content.
func putPackage(t testing.TB, s *Store, name string, contents ...string) pkg.Digest {
	t.Helper()
	p := &pkg.Package{Name: name, Version: "1"}
	for i, c := range contents {
		p.Entries = append(p.Entries, pkg.Entry{Path: fmt.Sprintf("%s/%04d", name, i), Kind: pkg.File, Mode: 0o644, Size: int64(len(c)), Digest: put(t, s, c)})
	}
	id, err := s.PutPackage(p)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func putImage(t testing.TB, s *Store, name string, parent image.ID, packages ...pkg.Digest) image.ID {
	t.Helper()
	m := &image.Manifest{Version: image.Version, Name: name, Parent: parent}
	slices.SortFunc(packages, func(a, b pkg.Digest) int { return bytes.Compare(a[:], b[:]) })
	for _, d := range packages {
		p, err := s.Package(d)
		if err != nil {
			t.Fatal(err)
		}
		m.Packages = append(m.Packages, image.Ref{Name: p.Name, Version: p.Version, Digest: d})
	}
	id, err := s.PutImage(m)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func content(t testing.TB, s *Store, d pkg.Digest) string {
	t.Helper()
	f, err := s.Object(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPutAndReadBack(t *testing.T) {
	for _, named := range []bool{false, true} {
		s := open(t)
		s.noTmpfile.Store(named) // file systems without O_TMPFILE
		for _, c := range []string{"", "x", strings.Repeat("s", smallSize), strings.Repeat("l", smallSize+1), strings.Repeat("big", 1<<20)} {
			d := put(t, s, c)
			if d != sha256.Sum256([]byte(c)) || content(t, s, d) != c || !s.Has(d) {
				t.Errorf("content of %d bytes does not come back", len(c))
			}
			if put(t, s, c) != d {
				t.Error("the same content has two digests")
			}
		}
		if left, _ := names(s.path("tmp")); len(left) > 0 {
			t.Errorf("left in tmp: %v", left)
		}
		info, err := os.Stat(s.path("objects", ObjectPath(put(t, s, "x"))))
		if err != nil || info.Mode() != objectMode {
			t.Errorf("object has mode %v, %v", info.Mode(), err)
		}
	}
}

func TestAStoreIsMadeByManyAtOnce(t *testing.T) {
	for range 20 {
		dir := filepath.Join(t.TempDir(), "store")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if s, err := Open(dir); err != nil {
					t.Error(err)
				} else if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func TestPutReplacesACutObject(t *testing.T) {
	for _, named := range []bool{false, true} {
		s := open(t)
		s.noTmpfile.Store(named)
		for _, c := range []string{"some content", strings.Repeat("l", smallSize+1)} {
			d := put(t, s, c)
			path := s.path("objects", ObjectPath(d))
			os.Chmod(path, 0o600)
			if err := os.Truncate(path, 3); err != nil {
				t.Fatal(err)
			}
			if put(t, s, c); content(t, s, d) != c {
				t.Error("a cut object was taken for whole")
			}
		}
	}
}

func TestPutConcurrently(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 300 {
				if _, _, err := s.Put(t.Context(), strings.NewReader(strings.Repeat("c", i*i))); err != nil {
					t.Error(err)
				}
				if i%100 == 0 {
					if err := s.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if left, _ := names(s.path("unsynced")); len(left) > 0 {
		t.Errorf("markers after the last sync: %v", left)
	}
}

type failing struct{ n int }

var errSource = errors.New("the source broke")

func (f *failing) Read(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, errSource
	}
	return len(b), nil
}

func TestPutPassesOnTheSourcesError(t *testing.T) {
	s := open(t)
	for _, n := range []int{0, smallSize / 2, 4 * smallSize, 16 << 20} {
		if _, _, err := s.Put(t.Context(), &failing{n}); err != errSource {
			t.Errorf("source that breaks after %d bytes: %v", n, err)
		}
	}
	if left, _ := names(s.path("tmp")); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestPackageNeedsItsObjects(t *testing.T) {
	s := open(t)
	_, err := s.PutPackage(&pkg.Package{Name: "a", Version: "1", Entries: []pkg.Entry{
		{Path: "usr/bin/a", Kind: pkg.File, Mode: 0o755, Size: 1, Digest: sha256.Sum256([]byte("x"))}}})
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "/usr/bin/a") {
		t.Errorf("a package without its object: %v", err)
	}
}

func TestImagesTagsAndResolve(t *testing.T) {
	s := open(t)
	base := putImage(t, s, "base", image.ID{}, putPackage(t, s, "a", "1", "2"))
	child := putImage(t, s, "child", base, putPackage(t, s, "b", "3"))
	if err := s.Tag("desktop", child); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"desktop", child.String(), child.String()[:4], child.String()[:63]} {
		if id, err := s.Resolve(name); err != nil || id != child {
			t.Errorf("%s: %s, %v", name, id, err)
		}
	}
	for _, name := range []string{"nothing", "", "../tags/desktop", child.String()[:3], strings.Repeat("0", 64)} {
		if _, err := s.Resolve(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	chain, err := s.Chain(child)
	if err != nil || len(chain) != 2 || chain[0].Name != "base" {
		t.Fatalf("chain %v, %v", chain, err)
	}
	built, err := s.Built(t.Context(), chain)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := image.Flatten(built)
	if err != nil {
		t.Fatal(err)
	}
	if e, _, ok := tree.Lookup("/b/0000"); !ok || content(t, s, e.Digest) != "3" {
		t.Error("the child's file is not in its tree")
	}
	if err := s.Untag("desktop"); err != nil {
		t.Fatal(err)
	}
	if err := s.Untag("desktop"); !errors.Is(err, ErrNotFound) {
		t.Errorf("untagged twice: %v", err)
	}
	if err := s.Tag("desktop", image.ID{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a tag of nothing: %v", err)
	}
	if err := s.Tag("../x", child); err == nil {
		t.Error("a tag outside its directory")
	}
}

func TestConversionCache(t *testing.T) {
	s := open(t)
	id := putPackage(t, s, "a", "1")
	if _, ok := s.Converted("sha256:x v1"); ok {
		t.Error("an empty cache has an answer")
	}
	if err := s.SetConverted("sha256:x v1", id); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Converted("sha256:x v1"); !ok || got != id {
		t.Errorf("%v, %v", got, ok)
	}
	if err := os.Remove(s.path("pending", s.boot, id.String())); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Converted("sha256:x v1"); ok {
		t.Error("the cache names a package that is gone")
	}
}

func TestANewerStoreIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	version := filepath.Join(dir, "version")
	os.WriteFile(version, []byte("ninefold store 2\n"), 0o600)
	if _, err := Open(dir); !errors.Is(err, ErrVersion) {
		t.Errorf("newer store: %v", err)
	}
	if all, _ := names(dir); len(all) != 1 {
		t.Errorf("the newer store was written to: %v", all)
	}
	other := t.TempDir()
	os.WriteFile(filepath.Join(other, "holiday.jpg"), nil, 0o600)
	if _, err := Open(other); !errors.Is(err, ErrNotStore) || !strings.Contains(err.Error(), "holiday.jpg") {
		t.Errorf("somebody's directory: %v", err)
	}
	s := open(t)
	id := putImage(t, s, "base", image.ID{}, putPackage(t, s, "a", "1"))
	path := s.path("images", id.String())
	b, _ := os.ReadFile(path)
	os.WriteFile(path, bytes.Replace(b, []byte("ninefold-image 1"), []byte("ninefold-image 2"), 1), 0o600)
	if _, err := s.Image(id); !errors.Is(err, ErrVersion) {
		t.Errorf("newer record: %v", err)
	}
	if _, err := s.GC(t.Context()); !errors.Is(err, ErrVersion) {
		t.Errorf("collection with a newer record: %v", err)
	}
}

func FuzzUnseal(f *testing.F) {
	f.Add(seal("tag", []byte("x\n")))
	f.Add([]byte("ninefold-tag 1 0 \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if payload, err := unseal("tag", b); err == nil && !bytes.Equal(seal("tag", payload), b) {
			t.Fatal("a record that seal does not write was taken")
		}
	})
}
