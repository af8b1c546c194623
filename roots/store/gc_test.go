package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/roots/image"
)

func TestGCKeepsWhatIsTaggedOrLeased(t *testing.T) {
	s := open(t)
	shared := putPackage(t, s, "shared", "everyone's")
	base := putImage(t, s, "base", image.ID{}, shared)
	tagged := putImage(t, s, "tagged", base, putPackage(t, s, "a", "of a"))
	leased := putImage(t, s, "leased", image.ID{}, putPackage(t, s, "b", "of b"))
	deadPackage := putPackage(t, s, "c", "of c", "everyone's")
	dead := putImage(t, s, "dead", base, deadPackage)
	deadChild := putImage(t, s, "dead-child", dead, putPackage(t, s, "d", "of d"))
	if err := s.SetConverted("c.deb", deadPackage); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(s.path("composefs", dead.String()+".erofs"), nil, 0o600)
	os.WriteFile(s.path("composefs", tagged.String()+".erofs"), nil, 0o600)
	if err := s.Tag("t", tagged); err != nil {
		t.Fatal(err)
	}
	lease, err := s.Lease(leased)
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.GC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Images) != 2 || report.Packages != 2 || report.Objects != 2 || report.Bytes != 8 || len(report.Kept) != 1 {
		t.Errorf("report %+v", report)
	}
	for _, id := range []image.ID{base, tagged, leased} {
		if !s.HasImage(id) {
			t.Errorf("image %s is gone", id.Short())
		}
	}
	if s.HasImage(dead) || s.HasImage(deadChild) || s.HasPackage(deadPackage) {
		t.Error("the dead live")
	}
	if _, err := os.Stat(s.path("composefs", dead.String()+".erofs")); err == nil {
		t.Error("what was composed of a dead image is there")
	}
	if _, err := os.Stat(s.path("composefs", tagged.String()+".erofs")); err != nil {
		t.Error("what was composed of a living image is gone")
	}
	os.Remove(s.path("composefs", tagged.String()+".erofs")) // it is none
	if _, ok := s.Converted("c.deb"); ok {
		t.Error("the conversion cache names a package that is gone")
	}
	if damage, err := s.Verify(t.Context()); err != nil || len(damage) > 0 {
		t.Errorf("after the collection: %v, %v", damage, err)
	}
	if err := s.RemoveImage(leased); !errors.Is(err, ErrBusy) {
		t.Errorf("remove what a session uses: %v", err)
	}
	if err := s.RemoveImage(base); !errors.Is(err, ErrBusy) {
		t.Errorf("remove a parent: %v", err)
	}
	lease.Close()
	if _, err := s.GC(t.Context()); err != nil || s.HasImage(leased) {
		t.Errorf("the lease has ended, the image lives: %v", err)
	}
	if _, err := s.Lease(leased); !errors.Is(err, ErrNotFound) {
		t.Errorf("lease of what is gone: %v", err)
	}
	if err := s.RemoveImage(tagged); err != nil {
		t.Fatal(err)
	}
	if tags, _ := s.Tags(); len(tags) > 0 {
		t.Errorf("tags of a removed image: %v", tags)
	}
}

func TestGCWaitsForBuildsAndNamesThem(t *testing.T) {
	s := open(t)
	release, err := s.Build(t.Context(), "xfce")
	if err != nil {
		t.Fatal(err)
	}
	putPackage(t, s, "a", "in the making")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.GC(ctx); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "builds xfce") {
		t.Errorf("collection during a build: %v", err)
	}
	done := make(chan error)
	other := openAt(t, s.Dir())
	go func() {
		_, err := other.GC(t.Context())
		done <- err
	}()
	id := putImage(t, s, "xfce", image.ID{}, putPackage(t, s, "a", "in the making"))
	if err := s.Tag("xfce", id); err != nil {
		t.Fatal(err)
	}
	release()
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if damage, err := s.Verify(t.Context(), id); err != nil || len(damage) > 0 {
		t.Errorf("the build lost something: %v, %v", damage, err)
	}
}

func TestOneBuildOfANameAtATime(t *testing.T) {
	s, other := open(t), (*Store)(nil)
	other = openAt(t, s.Dir())
	release, err := s.Build(t.Context(), "xfce")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := other.Build(ctx, "xfce"); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("two builds of one name: %v", err)
	}
	also, err := other.Build(t.Context(), "lxqt")
	if err != nil {
		t.Fatalf("another name: %v", err)
	}
	also()
	time.AfterFunc(10*time.Millisecond, release)
	again, err := other.Build(t.Context(), "xfce")
	if err != nil {
		t.Fatalf("after the first build: %v", err)
	}
	again()
}

func TestTempDirsOfTheDeadAreSwept(t *testing.T) {
	s := open(t)
	alive, remove, err := s.TempDir("finish")
	if err != nil {
		t.Fatal(err)
	}
	dead := s.path("tmp", "finish.dead")
	if err := os.MkdirAll(filepath.Join(dead, "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "precious")
	os.WriteFile(outside, nil, 0o600)
	os.Symlink(filepath.Dir(outside), filepath.Join(dead, "a/link"))
	report, err := s.GC(t.Context())
	if err != nil || report.Temp != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Error("the directory of a living process was swept")
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("the directory of a dead process is there")
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error("the sweep followed a symbolic link")
	}
	remove()
	if _, err := os.Stat(alive); err == nil {
		t.Error("the remover removed nothing")
	}
}

func TestNothingMountedIsRemoved(t *testing.T) {
	s := open(t)
	mounted := tmpfs(t, "")
	precious := filepath.Join(mounted, "precious")
	os.WriteFile(precious, nil, 0o600)
	at := s.path("tmp", "dead", "root")
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(mounted, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(t.Context()); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a mount point in tmp: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error("the content of a mounted file system was removed")
	}
	unix.Unmount(at, 0)
	if _, err := s.GC(t.Context()); err != nil {
		t.Error(err)
	}
}
