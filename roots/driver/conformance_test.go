package driver

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/layers"
	"ninefold/namespaces/plan"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
	"ninefold/tests/needs"
)

// mounted mounts layers where only f's thread sees them, and calls f with the
// directory.
func mounted(t *testing.T, list []plan.Layer, writable bool, f func(root string) error) {
	t.Helper()
	scratch, at := t.TempDir(), t.TempDir()
	var upper *plan.Upper
	if writable {
		upper = &plan.Upper{}
	}
	err := kernel.OnThread(func() error {
		return onStack(scratch, func(s *layers.Stack) error {
			mnt, err := s.Union(list, upper, 0)
			if err != nil {
				return err
			}
			defer mnt.Close()
			place, err := kernel.OpenHost(at)
			if err != nil {
				return err
			}
			defer place.Close()
			if err := kernel.Attach(mnt, place, at); err != nil {
				return err
			}
			return errors.Join(f(at), unix.Unmount(at, unix.MNT_DETACH))
		})
	})
	if err != nil {
		t.Errorf("%v\n%s", err, kernel.Hint(err))
	}
}

// compare reads everything below root, content included.
func compare(root string, want *image.Tree) error {
	var all []error
	fail := func(path, format string, args ...any) {
		if len(all) < 20 {
			all = append(all, fmt.Errorf("%q: %s", path, fmt.Sprintf(format, args...)))
		}
	}
	inodes := map[uint64]string{} // inode -> first name of its group
	links := map[string]int{}
	for _, e := range want.Entries {
		if e.Link != "" {
			links[e.Link]++
		}
	}
	seen := 0
	err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == root {
			return nil
		}
		path := strings.TrimPrefix(name, root+"/")
		i, ok := want.Index(path)
		if !ok {
			fail(path, "is there and should not be")
			return nil
		}
		seen++
		e := want.Entries[i]
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		if st.Mode != fileType(e.Kind)|e.Mode || st.Uid != e.UID || st.Gid != e.GID {
			fail(path, "mode %o of %d:%d, want %o of %d:%d", st.Mode, st.Uid, st.Gid, fileType(e.Kind)|e.Mode, e.UID, e.GID)
		}
		if st.Mtim.Sec != e.MTime && want.Owner(i) != nil {
			fail(path, "time %d, want %d", st.Mtim.Sec, e.MTime)
		}
		if err := compareXattrs(name, &e); err != nil {
			fail(path, "%v", err)
		}
		switch e.Kind {
		case pkg.File:
			if err := compareContent(name, &e); err != nil {
				fail(path, "%v", err)
			}
			group := path
			if e.Link != "" {
				group = e.Link
			}
			if was, ok := inodes[st.Ino]; ok && was != group {
				fail(path, "is one file with %q", was)
			}
			inodes[st.Ino] = group
			if n := links[group] + 1; n > 1 && int(st.Nlink) < n {
				fail(path, "%d links, want %d", st.Nlink, n)
			}
		case pkg.Symlink:
			if to, err := os.Readlink(name); err != nil || to != e.Target {
				fail(path, "points to %q (%v)", to, err)
			}
		case pkg.Char, pkg.Block:
			if st.Rdev != unix.Mkdev(e.Major, e.Minor) {
				fail(path, "device %x", st.Rdev)
			}
		}
		return nil
	})
	groups := map[string]uint64{}
	for inode, group := range inodes {
		if other, ok := groups[group]; ok {
			fail(group, "its names have the inodes %d and %d", inode, other)
		}
		groups[group] = inode
	}
	if seen != len(want.Entries) {
		all = append(all, fmt.Errorf("%d names, want %d", seen, len(want.Entries)))
	}
	return errors.Join(append(all, err)...)
}

func compareContent(name string, e *pkg.Entry) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil || n != e.Size || pkg.Digest(h.Sum(nil)) != e.Digest {
		return fmt.Errorf("content of %d bytes, want %d (%v)", n, e.Size, err)
	}
	return nil
}

func compareXattrs(name string, e *pkg.Entry) error {
	buf := make([]byte, 4096)
	n, err := unix.Llistxattr(name, buf)
	if err != nil {
		return err
	}
	have := strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 })
	if len(have) != len(e.Xattrs) {
		return fmt.Errorf("attributes %q, want %d", have, len(e.Xattrs))
	}
	for _, x := range e.Xattrs {
		n, err := unix.Lgetxattr(name, x.Name, buf)
		if err != nil || string(buf[:n]) != string(x.Value) {
			return fmt.Errorf("attribute %s is %q (%v), want %q", x.Name, buf[:max(n, 0)], err, x.Value)
		}
	}
	return nil
}

func tree(t *testing.T, s *store.Store, id image.ID, part Part) *image.Tree {
	t.Helper()
	tr, err := load(t.Context(), s, id, part)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func layersOf(t *testing.T, d Driver, s *store.Store, id image.ID, part Part) []plan.Layer {
	t.Helper()
	if _, err := d.Layers(s, id, part); err != nil && !errors.Is(err, ErrNotComposed) {
		t.Fatalf("not composed yet: %v", err)
	}
	if err := d.Compose(t.Context(), s, id, part); err != nil {
		t.Fatal(err)
	}
	if err := d.Compose(t.Context(), s, id, part); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	l, err := d.Layers(s, id, part)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// needDriver skips a driver that this kernel is too old for; on one that is not,
// a driver that does not work is a failure.
func needDriver(t *testing.T, d Driver) {
	t.Helper()
	_, report := Probe(t.TempDir())
	for _, f := range report {
		if f.Driver != d.Name() || f.OK {
			continue
		}
		if major, minor := kernel.Release(); d.Name() == "composefs" && (major < 6 || major == 6 && minor < 12) {
			needs.Elsewhere(t, fmt.Sprintf("Linux %d.%d: %s", major, minor, f.Why))
		}
		t.Fatalf("%s: %s", f.Why, f.Hint)
	}
}

// TestConformance is what every driver must do.
func TestConformance(t *testing.T) {
	needs.Root(t)
	s := open(t)
	base := baseImage(t, s)
	child := childImage(t, s, base)
	for _, id := range []image.ID{base, child} {
		if err := s.Tag("t"+id.Short(), id); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range All() {
		t.Run(d.Name(), func(t *testing.T) {
			needDriver(t, d)
			if _, err := d.Layers(s, child, Own(base)); !errors.Is(err, ErrNotComposed) && d.Name() != "loop" {
				t.Errorf("layers before they are composed: %v", err)
			}
			baseLayers, whole := layersOf(t, d, s, base, Full), layersOf(t, d, s, child, Full)
			own := layersOf(t, d, s, child, Own(base))
			t.Run("base", func(t *testing.T) {
				mounted(t, baseLayers, false, func(root string) error { return compare(root, tree(t, s, base, Full)) })
			})
			t.Run("whole chain", func(t *testing.T) {
				mounted(t, whole, false, func(root string) error { return compare(root, tree(t, s, child, Full)) })
			})
			t.Run("own part over the base", func(t *testing.T) {
				both := append(append([]plan.Layer{}, own...), baseLayers...)
				mounted(t, both, false, func(root string) error { return compare(root, tree(t, s, child, Full)) })
			})
			t.Run("own part over a directory", func(t *testing.T) {
				both := append(append([]plan.Layer{}, own...), layersOf(t, Farm{}, s, base, Full)...)
				mounted(t, both, false, func(root string) error { return compare(root, tree(t, s, child, Full)) })
			})
			t.Run("writing", func(t *testing.T) { mounted(t, whole, true, write) })
			t.Run("after writing", func(t *testing.T) {
				mounted(t, whole, false, func(root string) error { return compare(root, tree(t, s, child, Full)) })
				if damage, err := s.Verify(t.Context()); err != nil || len(damage) > 0 {
					t.Errorf("%v, %v", damage, err)
				}
			})
			t.Run("collection", func(t *testing.T) {
				if _, err := s.GC(t.Context()); err != nil {
					t.Fatal(err)
				}
				mounted(t, whole, false, func(root string) error { return compare(root, tree(t, s, child, Full)) })
			})
			t.Run("errors", func(t *testing.T) {
				if err := d.Compose(t.Context(), s, image.ID{1}, Full); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("no such image: %v", err)
				}
				if err := d.Compose(t.Context(), s, base, Own(child)); !errors.Is(err, ErrNotAncestor) {
					t.Errorf("not above: %v", err)
				}
			})
			t.Run("remove", func(t *testing.T) {
				for range 2 {
					if err := d.Remove(s, child, Full); err != nil {
						t.Error(err)
					}
				}
				if _, err := d.Layers(s, child, Full); !errors.Is(err, ErrNotComposed) {
					t.Errorf("layers of what was removed: %v", err)
				}
			})
		})
	}
}

// write changes files in every way that makes the overlay copy them up.
func write(root string) error {
	at := func(name string) string { return filepath.Join(root, name) }
	appendTo := func(name, text string) error {
		f, err := os.OpenFile(at(name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(
		appendTo("usr/bin/y", "er"), os.Chmod(at("usr/bin/su"), 0o755), os.Remove(at("usr/share/large")),
		os.Rename(at("usr/bin/x"), at("usr/bin/moved")), os.WriteFile(at("etc/new"), []byte("new"), 0o600),
		os.Link(at("usr/share/equal1"), at("usr/share/equal3")),
		appendTo("usr/lib/linked", "!"),
	); err != nil {
		return err
	}
	for name, want := range map[string]string{
		"usr/bin/y": "newer", "usr/bin/su": "setuid", "usr/bin/moved": "changed", "etc/new": "new",
		"usr/share/equal3": "equal", "usr/lib/linked": "one inode!",
	} {
		if b, err := os.ReadFile(at(name)); err != nil || string(b) != want {
			return fmt.Errorf("%s holds %q (%v), want %q", name, b, err, want)
		}
	}
	for _, gone := range []string{"usr/share/large", "usr/bin/x"} {
		if _, err := os.Lstat(at(gone)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: %v", gone, err)
		}
	}
	return nil
}
