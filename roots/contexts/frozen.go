package contexts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
	"ninefold/namespaces/kernel"
)

// frozenDir has the snapshots of the machine's file systems that a context which is
// open lies over. It is beside the layers: on the machine's disk, also for a
// context with a disk of its own.
const frozenDir = "frozen"

// Freeze makes a snapshot of one of the machine's directories for a context, and
// returns where it lies: "" where that cannot be, since the directory is no subvolume of
// btrfs, or the kernel refuses. The caller makes the root of the context live. What is
// mounted below, and other subvolumes, are not in the snapshot.
func (s *Store) Freeze(r Record, dir string) (string, error) {
	from, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	defer from.Close()
	if !kernel.IsSubvolume(kernel.FD(from.Fd())) {
		return "", nil
	}
	in := filepath.Join(s.Dir(r), frozenDir)
	if err := os.Mkdir(in, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	to, err := os.Open(in)
	if err != nil {
		return "", err
	}
	defer to.Close()
	taken, err := to.Readdirnames(-1)
	if err != nil {
		return "", err
	}
	name := strconv.Itoa(len(taken) + 1)
	// Another disk (EXDEV), a swap file in it (ETXTBSY), no room: without a snapshot
	// the context is entered as on any other file system.
	if kernel.Snapshot(kernel.FD(from.Fd()), kernel.FD(to.Fd()), name) != nil {
		return "", nil
	}
	return filepath.Join(in, name), nil
}

// Frozen reports whether a context lies over snapshots, or did when what had it live
// was killed.
func (s *Store) Frozen(r Record) bool {
	_, err := os.Lstat(filepath.Join(s.Dir(r), frozenDir))
	return err == nil
}

// frozenSince is when the snapshots were made that a context lies over, or now. What has
// changed on the machine since is not below the context.
func (s *Store) frozenSince(r Record, now time.Time) time.Time {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, filepath.Join(s.Dir(r), frozenDir), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 { // btrfs has it
		return now
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
}

// Thaw removes the snapshots that a context lay over. Its root has ended.
func (s *Store) Thaw(r Record) error { return thaw(s.Dir(r)) }

// thaw removes the snapshots in the directory of a context.
func thaw(dir string) error {
	in, err := os.Open(filepath.Join(dir, frozenDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	names, err := in.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := kernel.RemoveSubvolume(kernel.FD(in.Fd()), name); err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(in.Name()), record.SyncDir(dir))
}
