package driver

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/layers"
	"ninefold/namespaces/plan"
	"ninefold/roots/erofs"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Finding is what Probe found out about one driver.
type Finding struct {
	Driver string `json:"driver"`
	OK     bool   `json:"ok"`
	// Why says in words why it does not work; Hint what to do, where that is known.
	Why  string `json:"why,omitempty"`
	Hint string `json:"hint,omitempty"`
}

// Probe tries each driver by mounting a root of one file and reading it, with
// content on the file system of dir (an existing directory, mostly the
// store's), and returns the best that works, nil if none does, and what
// was found about each, best first. Nothing is left behind: the mounts live in a
// mount namespace of a thread that ends, and no other process ever sees them.
func Probe(dir string) (Driver, []Finding) {
	var best Driver
	var report []Finding
	for _, d := range All() {
		err := try(dir, d)
		f := Finding{Driver: d.Name(), OK: err == nil}
		if err != nil {
			f.Why, f.Hint = err.Error(), kernel.Hint(err)
		} else if best == nil {
			best = d
		}
		report = append(report, f)
	}
	return best, report
}

const probeText = "read through the layers\n"

// try makes a root of one file for d and reads it through an overlay.
func try(dir string, d Driver) (err error) {
	temp, remove, err := probeDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	layer, err := probeLayer(temp, d)
	if err != nil {
		return err
	}
	at := filepath.Join(temp, "scratch")
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	return kernel.OnThread(func() error {
		return onStack(at, func(s *layers.Stack) error {
			root, err := s.Union([]plan.Layer{layer}, nil, 0)
			if err != nil {
				return err
			}
			defer root.Close()
			return readBack(root)
		})
	})
}

// onStack calls f in a mount namespace of the calling thread's own, which has
// to be one of kernel.OnThread. What f mounted is gone when it returns.
func onStack(at string, f func(*layers.Stack) error) error {
	if err := kernel.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := kernel.ReceiveMounts(); err != nil {
		return err
	}
	s, err := layers.New(at, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	return errors.Join(f(s), s.Detach())
}

// probeDir makes a directory on the file system of dir. In a store it lies in
// tmp and is locked as the store's own are, so that one that a killed process
// leaves is swept, and one in use is not.
func probeDir(dir string) (path string, remove func() error, err error) {
	if tmp := filepath.Join(dir, "tmp"); exists(filepath.Join(dir, "version")) && exists(tmp) {
		dir = tmp
	}
	for range 100 {
		if path, err = os.MkdirTemp(dir, "probe-"); err != nil {
			return "", nil, err
		}
		lock, err := os.Open(path)
		if err != nil {
			continue // swept before it could be locked
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil || !exists(path) {
			lock.Close()
			continue
		}
		return path, func() error {
			// Only names made here; what was mounted is gone with its thread.
			return errors.Join(os.RemoveAll(path), lock.Close())
		}, nil
	}
	return "", nil, fmt.Errorf("a directory to try drivers in: %w", store.ErrBusy)
}

// probeLayer lays out one file as d would.
func probeLayer(temp string, d Driver) (plan.Layer, error) {
	data := filepath.Join(temp, "data")
	digest := pkg.Digest(sha256.Sum256([]byte(probeText)))
	object := filepath.Join(data, store.ObjectPath(digest))
	if err := os.MkdirAll(filepath.Dir(object), 0o700); err != nil {
		return plan.Layer{}, err
	}
	if err := os.WriteFile(object, []byte(probeText), 0o400); err != nil {
		return plan.Layer{}, err
	}
	switch d.(type) {
	case Farm:
		root := filepath.Join(temp, "root")
		if err := os.Mkdir(root, 0o755); err != nil {
			return plan.Layer{}, err
		}
		return plan.Layer{Kind: plan.LayerDir, Source: root}, os.Link(object, filepath.Join(root, "file"))
	case Composefs, Loop:
	default:
		return plan.Layer{}, fmt.Errorf("driver %q: %w", d.Name(), ErrUnknown)
	}
	image, err := erofs.Build([]erofs.Node{
		{Link: erofs.None, Mode: erofs.Dir | 0o755},
		{Link: erofs.None, Name: "file", Mode: erofs.Regular | 0o644, Size: int64(len(probeText)), Xattrs: []erofs.Xattr{
			{Name: metacopy}, {Name: redirect, Value: "/" + store.ObjectPath(digest)}}},
	})
	if err != nil {
		return plan.Layer{}, err
	}
	file := filepath.Join(temp, "root.erofs")
	kind := plan.LayerComposefs
	if _, ok := d.(Loop); ok {
		kind = plan.LayerLoop
	}
	return plan.Layer{Kind: kind, Source: file, Data: data}, os.WriteFile(file, image, 0o600)
}

func readBack(root kernel.FD) error {
	fd, err := unix.Openat(root.Int(), "file", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open a file through the layers: %w", err)
	}
	f := os.NewFile(uintptr(fd), "file")
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return fmt.Errorf("read a file through the layers: %w", err)
	}
	if string(b) != probeText {
		return fmt.Errorf("a file read through the layers has another content: %w", unix.EIO)
	}
	return nil
}
