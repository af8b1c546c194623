package export

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
	"ninefold/tests/needs"
)

// odd is an image of what is easily lost on the way.
func odd(t *testing.T) (*store.Store, image.ID) {
	t.Helper()
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	put := func(text string) (pkg.Digest, int64) {
		d, n, err := s.Put(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return d, n
	}
	caps, err := pkg.CapabilityXattr("cap_net_raw+ep")
	if err != nil {
		t.Fatal(err)
	}
	file := func(path, text string, mode uint32) pkg.Entry {
		d, n := put(text)
		return pkg.Entry{Path: path, Kind: pkg.File, Mode: mode, MTime: 1700000000, Size: n, Digest: d}
	}
	ping := file("usr/bin/ping", strings.Repeat("elf", 5000), 0o755)
	ping.Xattrs = []pkg.Xattr{{Name: pkg.CapabilityAttribute, Value: caps}}
	su := file("usr/bin/su", "su", 0o4755)
	first := file("usr/bin/zz-first", strings.Repeat("x", 8192), 0o644)
	second := first
	second.Path, second.Link = "usr/lib/zz-second", first.Path
	owned := file("srv/owned", "text", 0o640)
	owned.UID, owned.GID = 70000, 3000000
	long := strings.Repeat("n", 200)
	p := &pkg.Package{Name: "odd", Version: "1", Arch: "all", Entries: []pkg.Entry{
		ping, su, first, second, owned, file("etc/empty", "", 0o600), file("srv/"+long, "long", 0o644), file("srv/equal", "long", 0o600),
		{Path: "srv/fifo", Kind: pkg.Fifo, Mode: 0o600},
		{Path: "srv/länk", Kind: pkg.Symlink, Mode: 0o777, Target: "/srv/Főtanúsítvány=x"},
		{Path: "srv/longlink", Kind: pkg.Symlink, Mode: 0o777, Target: "/" + long + "/" + long},
		{Path: "tmp", Kind: pkg.Dir, Mode: 0o1777, MTime: 5},
	}}
	p.Sort()
	id, err := s.PutPackage(p)
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.PutImage(&image.Manifest{Version: image.Version, Name: "odd", Packages: []image.Ref{{Name: "odd", Version: "1", Digest: id}}})
	if err != nil {
		t.Fatal(err)
	}
	return s, img
}

// look tells everything that stat and an open file show of a tree.
func look(t *testing.T, root string) string {
	t.Helper()
	var out strings.Builder
	inodes := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s %o %d:%d", name, st.Mode, st.Uid, st.Gid)
		if name != "." {
			fmt.Fprintf(&out, " %d", st.Mtim.Sec)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " -> %s", target)
		case unix.S_IFREG:
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %d %x", len(b), sha256.Sum256(b))
			if first, ok := inodes[st.Ino]; ok {
				fmt.Fprintf(&out, " = %s", first)
			}
			inodes[st.Ino] = name
			value := make([]byte, 100)
			if n, err := unix.Lgetxattr(path, pkg.CapabilityAttribute, value); err == nil {
				fmt.Fprintf(&out, " caps %x", value[:n])
			}
		}
		out.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestEveryFormHoldsTheSame compares what the kernel, tar and unsquashfs show of
// each form with the tree, and each form with itself made again.
func TestEveryFormHoldsTheSame(t *testing.T) {
	needs.Root(t)
	needs.Programs(t, "mksquashfs", "unsquashfs", "tar", "fsck.erofs")
	s, id := odd(t)
	dir := t.TempDir()
	want := ""
	for _, form := range []string{Dir, Tar, Squashfs, Erofs} {
		t.Run(form, func(t *testing.T) {
			to, again := filepath.Join(dir, form), filepath.Join(dir, form+"2")
			for _, name := range []string{to, again} {
				if err := Export(t.Context(), s, id, "odd", form, name); err != nil {
					t.Fatal(err)
				}
			}
			if form == Dir {
				if want = look(t, to); want != look(t, again) || !strings.Contains(want, "caps 01") || !strings.Contains(want, " = usr/bin/zz-first") {
					t.Errorf("two directories differ, or lack something:\n%s", want)
				}
				return
			}
			a, err := os.ReadFile(to)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(again)
			if err != nil || !bytes.Equal(a, b) {
				t.Errorf("made twice, %d and %d bytes differ (%v)", len(a), len(b), err)
			}
			if sum, err := Sum(t.Context(), s, id, form); err != nil || sum != sha256.Sum256(a) {
				t.Errorf("its sum is %s (%v)", sum, err)
			}
			out := filepath.Join(t.TempDir(), "out")
			if got := unpack(t, form, to, out); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func unpack(t *testing.T, form, file, out string) string {
	t.Helper()
	run := func(argv ...string) {
		if b, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", argv, err, b)
		}
	}
	switch form {
	case Tar:
		if err := os.Mkdir(out, 0o755); err != nil {
			t.Fatal(err)
		}
		run("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", file, "-C", out)
	case Squashfs:
		run("unsquashfs", "-q", "-n", "-d", out, file)
		// The root's time is not in the tar.
		if info, err := os.Stat(out); err != nil || info.ModTime().Unix() != 1700000000 {
			t.Errorf("the root is of %v (%v)", info.ModTime(), err)
		}
	case Erofs:
		run("fsck.erofs", file)
		if err := os.Mkdir(out, 0o755); err != nil {
			t.Fatal(err)
		}
		run("mount", "-t", "erofs", "-o", "loop,ro", file, out)
		defer run("umount", out)
	}
	return look(t, out)
}

// TestContainerToolsTakeALayout lets skopeo, which checks every digest, read
// both kinds of layout.
func TestContainerToolsTakeALayout(t *testing.T) {
	needs.Root(t)
	needs.Programs(t, "skopeo")
	s, id := odd(t)
	dir := t.TempDir()
	for _, to := range []string{"archive", "archive2", "layout/"} {
		if err := Export(t.Context(), s, id, "steve/odd:1", OCI, filepath.Join(dir, to)+to[len(strings.TrimSuffix(to, "/")):]); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{"oci-archive:" + dir + "/archive", "oci:" + dir + "/layout"} {
		to := filepath.Join(t.TempDir(), "copy")
		if b, err := exec.Command("skopeo", "--insecure-policy", "copy", from, "oci:"+to).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", from, err, b)
		}
	}
	sum, err := Sum(t.Context(), s, id, OCI)
	index, errIndex := os.ReadFile(dir + "/layout/index.json")
	if err != nil || errIndex != nil || !bytes.Contains(index, []byte(sum.String())) {
		t.Errorf("its sum %s is not that of what index.json names (%v, %v): %s", sum, err, errIndex, index)
	}
	a, errA := os.ReadFile(dir + "/archive")
	b, errB := os.ReadFile(dir + "/archive2")
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("two archives differ (%v, %v)", errA, errB)
	}
}

func TestNothingIsWrittenOver(t *testing.T) {
	s, id := odd(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Export(t.Context(), s, id, "odd", Dir, dir); !errors.Is(err, ErrExists) {
		t.Errorf("into a directory that is not empty: %v", err)
	}
	if err := Export(t.Context(), s, id, "odd", OCI, dir+"/"); !errors.Is(err, ErrExists) {
		t.Errorf("a layout into a directory that is not empty: %v", err)
	}
	if err := Export(t.Context(), s, id, "odd", "zip", filepath.Join(dir, "y")); !errors.Is(err, ErrForm) {
		t.Errorf("a form that there is not: %v", err)
	}
}

// TestAFailureLeavesNothing breaks the store, so that each form fails on its way.
func TestAFailureLeavesNothing(t *testing.T) {
	needs.Root(t)
	needs.Programs(t, "mksquashfs")
	s, id := odd(t)
	d, _, err := s.Put(t.Context(), strings.NewReader(strings.Repeat("x", 8192)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.ObjectsDir(), store.ObjectPath(d))); err != nil {
		t.Fatal(err)
	}
	for _, form := range Forms {
		dir := t.TempDir()
		if err := Export(t.Context(), s, id, "odd", form, filepath.Join(dir, "out")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", form, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left is %v", form, left)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(s.Dir(), "tmp")); len(left) > 0 {
		t.Errorf("in the store is left %v", left)
	}
}

func TestSquashfsSaysWhatItLacks(t *testing.T) {
	s, id := odd(t)
	t.Setenv("PATH", t.TempDir())
	if err := Export(t.Context(), s, id, "odd", Squashfs, filepath.Join(t.TempDir(), "x")); !errors.Is(err, ErrTool) {
		t.Errorf("got %v", err)
	}
}
