package contexts

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/tests/needs"
)

// bounded makes a context with a file system of its own.
func bounded(t *testing.T, s *Store, name string, size int64) Record {
	t.Helper()
	needs.Root(t)
	needs.Programs(t, "mkfs.ext4")
	r, err := s.Create(t.Context(), 0, name, size, Stands{}, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmountDisk(s.Dir(r)); err != nil {
			t.Error(err)
		}
	})
	return r
}

// wantSize wants the record and the file of a context to be of that size.
func wantSize(t *testing.T, s *Store, r Record, inRecord, ofFile int64) {
	t.Helper()
	got, err := s.Again(r)
	if err != nil || got.Size != inRecord {
		t.Errorf("the record says %d, %v, want %d", got.Size, err, inRecord)
	}
	if st, err := os.Stat(filepath.Join(s.Dir(r), diskFile)); err != nil || st.Size() != ofFile {
		t.Errorf("the file is %+v, %v, want %d bytes", st, err, ofFile)
	}
}

func TestWhatIsNotResized(t *testing.T) {
	s := On(t.TempDir())
	r := bounded(t, s, "small", 32<<20)
	if err := s.Resize(t.Context(), create(t, s, 0, "open"), 64<<20); !errors.Is(err, ErrBoundless) {
		t.Errorf("one without a bound: %v", err)
	}
	if err := s.Resize(t.Context(), r, 16<<20); !errors.Is(err, ErrSmaller) {
		t.Errorf("to less: %v", err)
	}
	if err := s.Resize(t.Context(), r, 32<<20); err != nil {
		t.Errorf("to what it is: %v", err)
	}
	if err := s.Resize(t.Context(), Record{ID: "0123456789ab", Name: "gone"}, 64<<20); !errors.Is(err, ErrNotFound) {
		t.Errorf("one that is gone: %v", err)
	}
	withoutResource(t, func() {
		if err := s.Resize(t.Context(), r, 64<<20); !errors.Is(err, ErrCannotGrow) {
			t.Errorf("without CAP_SYS_RESOURCE: %v", err)
		}
	})
	wantSize(t, s, r, 32<<20, 32<<20)
}

// withoutResource runs f without CAP_SYS_RESOURCE, as containers do.
func withoutResource(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&head, &have[0]); err != nil {
		t.Fatal(err)
	}
	less := have
	less[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
	if err := unix.Capset(&head, &less[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&head, &have[0]); err != nil {
			t.Error(err)
		}
	}()
	f()
}

// growing says where a test of growing cannot be.
func growing(t *testing.T) {
	t.Helper()
	needs.Root(t)
	if !kernel.MayGrowDisk() {
		needs.Elsewhere(t, "this container lacks CAP_SYS_RESOURCE; the test runs in the virtual machines of tests/vm")
	}
}

// fill writes to a file of a context's layer until there is no room.
func fill(t *testing.T, f *os.File) (written int) {
	t.Helper()
	block := make([]byte, 1<<20)
	for range 1024 {
		n, err := f.Write(block)
		written += n
		if errors.Is(err, unix.ENOSPC) {
			return written
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("no end after %d bytes", written)
	return 0
}

func TestAFullContextGrowsWhileItIsUsed(t *testing.T) {
	growing(t)
	s := On(t.TempDir())
	r := bounded(t, s, "full", 32<<20)
	use, err := s.Use(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer use.Close()
	f, err := os.Create(filepath.Join(s.LayerDir(r, r.Layer), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first := fill(t, f)
	if first >= 32<<20 {
		t.Errorf("%d bytes are in it", first)
	}
	const size = 96 << 20
	if err := s.Resize(t.Context(), r, size); err != nil {
		t.Fatal(err)
	}
	wantSize(t, s, r, size, size)
	if used, err := s.diskUsed(r); err != nil || used > 64<<20 {
		t.Errorf("it takes %d bytes, %v", used, err)
	}
	if more := fill(t, f); first+more < 72<<20 || first+more >= size {
		t.Errorf("%d bytes, and after it grew %d more", first, more)
	}
	f.Close()
	// As after the machine's next start.
	if err := unmountDisk(s.Dir(r)); err != nil {
		t.Fatal(err)
	}
	if err := program(t.Context(), "e2fsck", "-f", "-n", filepath.Join(s.Dir(r), diskFile)); err != nil {
		t.Error(err)
	}
	if err := s.Ready(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	// It is 1 GiB at a time that such a small one grows by.
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Resize(stopped, r, 3<<30); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	wantSize(t, s, r, size, 3<<30)
	if err := s.Resize(t.Context(), r, 3<<30); err != nil {
		t.Error(err)
	}
	wantSize(t, s, r, 3<<30, 3<<30)
}

// What is left by one that is killed at each of its steps is a context that can be
// used, with the old bound, and resized.
func TestAResizeThatWasStopped(t *testing.T) {
	growing(t)
	const old, size = 32 << 20, 96 << 20
	for name, stopped := range map[string]func(dir string) error{
		"after the file grew":           func(dir string) error { return os.Truncate(filepath.Join(dir, diskFile), size) },
		"before the record was written": func(dir string) error { return growDisk(context.Background(), dir, size) },
		"and the machine failed": func(dir string) error {
			return errors.Join(growDisk(context.Background(), dir, size), unmountDisk(dir))
		},
		"before the file system, and so on": func(dir string) error {
			return errors.Join(os.Truncate(filepath.Join(dir, diskFile), size), unmountDisk(dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := On(t.TempDir())
			r := bounded(t, s, "stopped", old)
			if err := s.Ready(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(s.LayerDir(r, r.Layer), "file")
			if err := errors.Join(os.WriteFile(file, []byte("mine"), 0o600), stopped(s.Dir(r)), s.Ready(t.Context(), r)); err != nil {
				t.Fatal(err)
			}
			wantSize(t, s, r, old, size)
			// To less than it was to be: not where its file system has grown.
			grown := strings.Contains(name, "record") || strings.Contains(name, "failed")
			if err := s.Resize(t.Context(), r, 64<<20); grown != errors.Is(err, ErrSmaller) || !grown && err != nil {
				t.Errorf("to less than it was to be: %v", err)
			}
			if err := s.Resize(t.Context(), r, size); err != nil {
				t.Fatal(err)
			}
			wantSize(t, s, r, size, size)
			if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
				t.Errorf("%q, %v", text, err)
			}
			var fs unix.Statfs_t
			if err := unix.Statfs(filepath.Dir(file), &fs); err != nil || int64(fs.Blocks)*fs.Bsize < 80<<20 {
				t.Errorf("its file system has %d blocks of %d bytes, %v", fs.Blocks, fs.Bsize, err)
			}
		})
	}
}

// Another context's file system is not grown for the one that is asked for.
func TestGrowDiskIsAboutOneFile(t *testing.T) {
	growing(t)
	s := On(t.TempDir())
	one, other := bounded(t, s, "one", 32<<20), bounded(t, s, "other", 32<<20)
	if err := errors.Join(s.Ready(t.Context(), one), s.Ready(t.Context(), other)); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(s.Dir(one), diskFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	layers, err := os.Open(filepath.Join(s.Dir(other), layersDir))
	if err != nil {
		t.Fatal(err)
	}
	defer layers.Close()
	if err := kernel.GrowDisk(t.Context(), kernel.FD(layers.Fd()), kernel.FD(file.Fd()), 64<<20); err == nil {
		t.Error("it grew another one")
	}
	if err := kernel.GrowDisk(t.Context(), kernel.FD(file.Fd()), kernel.FD(file.Fd()), 64<<20); err == nil {
		t.Error("the machine's disk grew")
	}
}
