package driver

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

func open(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// zoo collects entries of every kind and stores their content.
type zoo struct {
	t testing.TB
	s *store.Store
	p pkg.Package
}

func newZoo(t testing.TB, s *store.Store, name string) *zoo {
	return &zoo{t: t, s: s, p: pkg.Package{Name: name, Version: "1"}}
}

func (z *zoo) add(e pkg.Entry) *zoo {
	z.p.Entries = append(z.p.Entries, e)
	return z
}

func (z *zoo) file(path, content string, change func(*pkg.Entry)) *zoo {
	z.t.Helper()
	d, n, err := z.s.Put(context.Background(), strings.NewReader(content))
	if err != nil {
		z.t.Fatal(err)
	}
	e := pkg.Entry{Path: path, Kind: pkg.File, Mode: 0o644, MTime: 1000, Size: n, Digest: d}
	if change != nil {
		change(&e)
	}
	return z.add(e)
}

// links adds further names of the file at first.
func (z *zoo) links(first string, more ...string) *zoo {
	i := slices.IndexFunc(z.p.Entries, func(e pkg.Entry) bool { return e.Path == first })
	for _, path := range more {
		e := z.p.Entries[i]
		e.Path, e.Link = path, first
		z.add(e)
	}
	return z
}

func (z *zoo) put() image.Ref {
	z.t.Helper()
	z.p.Sort()
	id, err := z.s.PutPackage(&z.p)
	if err != nil {
		z.t.Fatal(err)
	}
	return image.Ref{Name: z.p.Name, Version: z.p.Version, Digest: id}
}

func putImage(t testing.TB, s *store.Store, m *image.Manifest) image.ID {
	t.Helper()
	m.Version = image.Version
	slices.SortFunc(m.Packages, func(a, b image.Ref) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	id, err := s.PutImage(m)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// acl is an access control list with one named user, in the kernel's form
// (version 2; tag, permissions and id of each entry, little-endian).
var acl = []byte("\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\xe8\x03\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" +
	"\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x04\x00\xff\xff\xff\xff")

// capability is cap_net_raw+ep of every user, revision 2.
var capability = []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")

// baseImage holds everything that a package can hold.
func baseImage(t testing.TB, s *store.Store) image.ID {
	z := newZoo(t, s, "zoo")
	z.add(pkg.Entry{Path: "tmp", Kind: pkg.Dir, Mode: 0o1777, MTime: 5})
	z.add(pkg.Entry{Path: "var/mail", Kind: pkg.Dir, Mode: 0o2775, UID: 8, GID: 70000, MTime: 1 << 32})
	z.add(pkg.Entry{Path: "etc/alternatives/x", Kind: pkg.Symlink, Mode: 0o777, Target: "../../usr/bin/x", MTime: 3})
	z.add(pkg.Entry{Path: "etc/long", Kind: pkg.Symlink, Mode: 0o777, Target: strings.Repeat("/long", 800)})
	z.add(pkg.Entry{Path: "run/pipe", Kind: pkg.Fifo, Mode: 0o620, MTime: 9})
	z.add(pkg.Entry{Path: "dev/null", Kind: pkg.Char, Mode: 0o666, Major: 1, Minor: 3})
	z.add(pkg.Entry{Path: "dev/disk", Kind: pkg.Block, Mode: 0o660, GID: 6, Major: 259, Minor: 300})
	z.file("usr/bin/x", "#!/bin/sh\n", func(e *pkg.Entry) { e.Mode = 0o755 })
	z.file("usr/bin/su", "setuid", func(e *pkg.Entry) { e.Mode = 0o4755 })
	z.file("usr/bin/ping", "capable", func(e *pkg.Entry) {
		e.Mode, e.Xattrs = 0o755, []pkg.Xattr{{Name: "security.capability", Value: capability}, {Name: "user.note", Value: []byte("a\x00b")}}
	})
	z.file("etc/acl", "shared with 1000", func(e *pkg.Entry) {
		e.Xattrs = []pkg.Xattr{{Name: "system.posix_acl_access", Value: acl}, {Name: "trusted.mark", Value: []byte{1}}}
	})
	z.file("etc/secret", "closed", func(e *pkg.Entry) { e.Mode, e.UID, e.GID = 0, 1000, 1001 })
	z.file("usr/lib/linked", "one inode", nil).links("usr/lib/linked", "usr/lib/linked2", "usr/share/linked3")
	z.file("usr/share/equal1", "equal", nil).file("usr/share/equal2", "equal", nil)
	z.file("usr/share/empty1", "", nil).file("usr/share/empty2", "", nil)
	z.file("usr/share/empty3", "", nil).links("usr/share/empty3", "usr/share/empty4")
	z.file("usr/share/large", strings.Repeat("0123456789abcdef", 400_000), nil)
	z.file("usr/share/"+strings.Repeat("n", 255), "long name", nil)
	z.file("usr/share/odd \t\n\\\"'*\xff\xfe\x01", "odd name", nil)
	z.file(strings.Repeat("deep/", 120)+"file", "deep", nil)
	for i := range 1500 {
		z.file(fmt.Sprintf("usr/many/%s%04d", strings.Repeat("m", i%200), i), fmt.Sprint("many ", i%100), nil)
	}
	return putImage(t, s, &image.Manifest{Name: "base", Packages: []image.Ref{z.put()}})
}

// childImage adds to the base, changes and removes.
func childImage(t testing.TB, s *store.Store, base image.ID) image.ID {
	z := newZoo(t, s, "child").file("usr/bin/y", "new", nil).file("opt/app/bin/z", "in a new place", nil).links("opt/app/bin/z", "usr/bin/z")
	f := newZoo(t, s, "finish").file("usr/bin/x", "changed", func(e *pkg.Entry) { e.Mode = 0o700 }).
		file("run/pipe/was", "a directory now", nil).file("usr/many", "a file now", nil)
	return putImage(t, s, &image.Manifest{Name: "child", Parent: base, Packages: []image.Ref{z.put()},
		Finishing: f.put().Digest, Removed: []string{"deep/deep/deep", "etc/long", "run/pipe", "usr/share/empty1", "var"}})
}
