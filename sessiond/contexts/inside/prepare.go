package inside

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
	"ninefold/namespaces/plan"
)

// prepare makes the directories of the layers that a plan writes to, and where
// the shims write. The root of each layer looks as the host's directory does.
func prepare(dir string, p *plan.Plan, first uint32) error {
	for _, op := range p.Ops {
		o, ok := op.(plan.Overlay)
		if !ok {
			continue
		}
		at := filepath.Join(dir, o.Upper.Name)
		upper := filepath.Join(at, "upper")
		if _, err := os.Lstat(upper); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Join(at, "work"), 0o700); err != nil {
			return err
		}
		st, err := lookBelow(o)
		if err != nil {
			return err
		}
		making := upper + record.Aside
		if err := errors.Join(os.RemoveAll(making), os.Mkdir(making, 0o700), os.Chown(making, int(st.Uid), int(st.Gid)),
			unix.Chmod(making, st.Mode&0o7777), os.Rename(making, upper)); err != nil {
			return err
		}
	}
	return listen(filepath.Join(dir, HeardDir), first)
}

// lookBelow looks at the directory of the topmost layer that is one; of an image the
// root is root's.
func lookBelow(o plan.Overlay) (st unix.Stat_t, err error) {
	for _, l := range o.Lowers {
		if l.Kind != plan.LayerDir {
			break
		}
		at := filepath.Join(l.Source, l.Sub)
		if err = unix.Stat(at, &st); err == nil {
			return st, nil
		}
		if !errors.Is(err, unix.ENOENT) {
			return st, &os.PathError{Op: "stat", Path: at, Err: err}
		}
	}
	return unix.Stat_t{Mode: unix.S_IFDIR | 0o755}, nil
}

// listen makes the file that the shims write to. It is of the range that root has
// this time; whoever had that before has ended. What is so already is left alone:
// each change of an inode would be brought to disk.
func listen(heard string, first uint32) error {
	file := filepath.Join(heard, HeardFile)
	if has(heard, unix.S_IFDIR|0o700, first) && has(file, unix.S_IFREG|0o644, first) {
		return nil
	}
	if err := os.MkdirAll(heard, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return errors.Join(f.Chown(int(first), int(first)), f.Chmod(0o644), os.Chown(heard, int(first), int(first)))
}

func has(name string, mode, id uint32) bool {
	var st unix.Stat_t
	return unix.Lstat(name, &st) == nil && st.Mode == mode && st.Uid == id && st.Gid == id
}

// settled drops from a plan the files that the layer for / has already as the plan
// would write them.
func settled(dir string, p *plan.Plan) {
	upper, err := unix.Open(filepath.Join(dir, "upper"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(upper)
	p.Ops = slices.DeleteFunc(p.Ops, func(op plan.Op) bool {
		f, ok := op.(plan.File)
		return ok && !strings.HasPrefix(f.Path, "/run/") && f.UID == 0 && f.GID == 0 && holds(upper, f)
	})
}

// holds reports whether a file lies in a layer as it would be written. Root of the
// context may have put links, pipes and anything else there.
func holds(upper int, f plan.File) bool {
	fd, err := unix.Openat2(upper, strings.TrimPrefix(f.Path, "/"), &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return false
	}
	there := os.NewFile(uintptr(fd), f.Path)
	defer there.Close()
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode != unix.S_IFREG|f.Mode || st.Uid != 0 || st.Gid != 0 || st.Size != int64(len(f.Content)) {
		return false
	}
	b, err := io.ReadAll(io.LimitReader(there, int64(len(f.Content))+1))
	return err == nil && string(b) == f.Content
}
