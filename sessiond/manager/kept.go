package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrIncomplete says that a part of Ninefold is not installed.
var ErrIncomplete = errors.New("not everything of ninefold is installed")

// ErrKeptInUse says that another session writes to the kept layer.
var ErrKeptInUse = errors.New("the kept layer is in use by another session")

// kept is a claimed layer of a user and a profile that outlives the session.
type kept struct {
	dir  string
	lock *os.File
}

func keptDir(state string, uid uint32, profile string) string {
	return filepath.Join(state, "kept", strconv.FormatUint(uint64(uid), 10), profile)
}

// claimKept makes the directory of the layer, if there is none yet, and locks
// it: an overlay's upper that two overlays share is undefined. The lock goes
// with the process that holds it. Everything lies below a directory that root
// alone can enter, so nobody can prepare it.
func claimKept(dir, profile string) (*kept, error) {
	for _, d := range []string{dir, filepath.Join(dir, "upper"), filepath.Join(dir, "work")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("keep the layer of profile %s: %w", profile, err)
		}
	}
	// The upper is the session's /, which everybody in it may pass.
	if err := os.Chmod(filepath.Join(dir, "upper"), 0o755); err != nil {
		return nil, fmt.Errorf("keep the layer of profile %s: %w", profile, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep the layer of profile %s: %w", profile, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrKeptInUse
		}
		return nil, fmt.Errorf("keep the layer of profile %s in %s: %w", profile, dir, err)
	}
	return &kept{dir: dir, lock: lock}, nil
}

func (k *kept) release() {
	if k != nil {
		k.lock.Close()
	}
}
