package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// buildSome does what a build does: image number n of a few packages, some of
// whose files are large. The same n always gives the same image.
func buildSome(ctx context.Context, s *Store, n int) (image.ID, error) {
	name := fmt.Sprint("image", n)
	release, err := s.Build(ctx, name)
	if err != nil {
		return image.ID{}, err
	}
	defer release()
	m := &image.Manifest{Version: image.Version, Name: name}
	for i := range 4 {
		key := fmt.Sprintf("%d/%d.deb", n, i)
		id, ok := s.Converted(key)
		if !ok {
			p := &pkg.Package{Name: fmt.Sprintf("p%d-%d", n, i), Version: "1"}
			for k := range 12 {
				c := strings.Repeat(fmt.Sprintln(n, i, k), 1+k*k*k*k*4)
				d, size, err := s.Put(ctx, strings.NewReader(c))
				if err != nil {
					return image.ID{}, err
				}
				p.Entries = append(p.Entries, pkg.Entry{Path: fmt.Sprintf("%s/%02d", p.Name, k), Kind: pkg.File, Mode: 0o644, Size: size, Digest: d})
			}
			if id, err = s.PutPackage(p); err != nil {
				return image.ID{}, err
			}
			if err := s.SetConverted(key, id); err != nil {
				return image.ID{}, err
			}
		}
		m.Packages = append(m.Packages, image.Ref{Name: fmt.Sprintf("p%d-%d", n, i), Version: "1", Digest: id})
	}
	slices.SortFunc(m.Packages, func(a, b image.Ref) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	id, err := s.PutImage(m)
	if err != nil {
		return image.ID{}, err
	}
	if err := s.SetFinished(id, []pkg.Digest{m.Packages[0].Digest}); err != nil {
		return image.ID{}, err
	}
	if err := s.Write("composefs/"+id.String()+".erofs", bytes.Repeat([]byte("not checked here"), 1000)); err != nil {
		return image.ID{}, err
	}
	return id, s.Tag(name, id)
}

// crashHelper works on the store in dir until it is killed.
func crashHelper(dir string) {
	s, err := Open(dir)
	for n := 0; err == nil; n++ {
		fmt.Println(n)
		if _, err = buildSome(context.Background(), s, n%3); err == nil && n%3 == 2 {
			if err = s.Untag("image1"); err == nil {
				_, err = s.GC(context.Background())
			}
		}
	}
	fmt.Println(err)
}

// TestKilledAtAnyMoment kills a process that fills a store, many times at
// random moments, two at once now and then, and each time builds on what is left.
func TestKilledAtAnyMoment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	want := map[int]image.ID{}
	fresh := open(t)
	for n := range 3 {
		id, err := buildSome(t.Context(), fresh, n)
		if err != nil {
			t.Fatal(err)
		}
		want[n] = id
	}
	rng := rand.New(rand.NewPCG(7, 8))
	for round := range 40 {
		var helpers []*exec.Cmd
		for range 1 + round%2 {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), crashDir+"="+dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			helpers = append(helpers, cmd)
			var first [2]byte
			if _, err := io.ReadFull(out, first[:]); err != nil || string(first[:]) != "0\n" {
				rest, _ := io.ReadAll(out)
				t.Fatalf("round %d: the helper says %q", round, string(first[:])+string(rest))
			}
			go io.Copy(io.Discard, out)
		}
		time.Sleep(time.Duration(rng.IntN(60_000)) * time.Microsecond)
		for _, cmd := range helpers {
			cmd.Process.Kill()
			cmd.Wait()
		}
		s, err := Open(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		n := rng.IntN(3)
		id, err := buildSome(t.Context(), s, n)
		if err != nil || id != want[n] {
			t.Fatalf("round %d: image %d is %s, want %s: %v", round, n, id.Short(), want[n].Short(), err)
		}
		damage, err := s.Verify(t.Context())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, d := range damage {
			if !strings.HasPrefix(d.Path, "composefs/") { // it is no metadata image in this test
				t.Fatalf("round %d: %v", round, d)
			}
		}
		s.Close()
	}
	s := openAt(t, dir)
	for n := range 3 {
		s.Untag(fmt.Sprint("image", n))
	}
	if _, err := s.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"tmp", "packages", "images", "leases", "converted", "composefs"} {
		if left, _ := names(s.path(d)); len(left) > 0 {
			t.Errorf("left in %s: %v", d, left)
		}
	}
	for i := range 256 {
		if left, _ := names(s.path("objects", fmt.Sprintf("%02x", i))); len(left) > 0 {
			t.Errorf("left objects: %v", left)
		}
	}
}

// TestPowerCut plays a boot that ended before a Sync: a record and the name
// of an object survived, its content did not.
func TestPowerCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	before := openAt(t, dir)
	kept := putImage(t, before, "kept", image.ID{}, putPackage(t, before, "a", "synced"))
	lost := putPackage(t, before, "b", "not synced")
	object := before.path("objects", ObjectPath(put(t, before, "not synced")))
	os.Chmod(object, 0o600)
	if err := os.WriteFile(object, make([]byte, len("not synced")), 0o600); err != nil {
		t.Fatal(err)
	}
	after := openAt(t, dir)
	after.boot = strings.Repeat("f", 32)
	if after.HasPackage(lost) {
		t.Error("a record of the other boot counts")
	}
	if d := put(t, after, "not synced"); content(t, after, d) != "not synced" {
		t.Error("content that was lost was taken for whole")
	}
	if again := putPackage(t, after, "b", "not synced"); again != lost {
		t.Error("another package came out")
	}
	putImage(t, after, "new", kept, lost)
	if damage, err := after.Verify(t.Context()); err != nil || len(damage) > 0 {
		t.Errorf("%v, %v", damage, err)
	}
	for _, d := range []string{"unsynced", "pending/" + before.boot, "pending/" + after.boot} {
		if left, _ := names(after.path(d)); len(left) > 0 {
			t.Errorf("left in %s: %v", d, left)
		}
	}
}

func TestFullDisk(t *testing.T) {
	dir := tmpfs(t, "size=3m")
	s := openAt(t, filepath.Join(dir, "store"))
	if _, err := buildSome(t.Context(), s, 0); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("full disk: %v", err)
	}
	if left, _ := names(s.path("tmp")); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=30m"); err != nil {
		t.Fatal(err)
	}
	id, err := buildSome(t.Context(), s, 0)
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if _, err := s.GC(t.Context()); err != nil || !s.HasImage(id) {
		t.Error(err)
	}
}

func TestReadOnly(t *testing.T) {
	dir := tmpfs(t, "")
	s := openAt(t, filepath.Join(dir, "store"))
	id, err := buildSome(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	ro := openAt(t, filepath.Join(dir, "store"))
	if _, _, err := ro.Put(t.Context(), strings.NewReader("new")); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("put: %v", err)
	}
	if _, err := ro.Build(t.Context(), "image0"); !errors.Is(err, unix.EROFS) {
		t.Errorf("build: %v", err)
	}
	if err := ro.Tag("x", id); !errors.Is(err, unix.EROFS) {
		t.Errorf("tag: %v", err)
	}
	lease, err := ro.Lease(id)
	if err != nil {
		t.Errorf("what is there cannot be used: %v", err)
	}
	lease.Close()
	if _, err := Open(filepath.Join(dir, "other")); !errors.Is(err, unix.EROFS) {
		t.Errorf("a new store: %v", err)
	}
}
