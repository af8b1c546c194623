package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/identity"
)

// The range from which systemd takes ids for services that have none
// (DynamicUser= in systemd.exec(5), and its UIDS-GIDS document).
const (
	FirstID = 61184
	LastID  = 65519
)

// lockDir is where systemd locks them: a file for each id, named by it, under an
// flock(2) for as long as the id is in use. Who gets the lock looks whether the
// file is still there, since whoever gives an id up unlinks it.
const lockDir = "/run/systemd/dynamic-uid"

// id is one that is taken.
type id struct {
	uid  uint32
	name string
	dir  string
	lock *os.File
}

// Name is what the guest with this id is called.
func Name(uid uint32) string { return "guest-" + strconv.FormatUint(uint64(uid), 10) }

// take takes an id that neither systemd nor a file, a process or an account has,
// and none of which free says no.
func take(ctx context.Context, dir string, free func(uint32) bool) (*id, error) {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lock an id for a guest: %w", err)
	}
	const size = LastID - FirstID + 1
	from := rand.Uint32N(size)
	for i := range uint32(size) {
		uid := FirstID + (from+i)%size
		if !free(uid) {
			continue
		}
		got, err := lock(dir, uid)
		if err != nil {
			return nil, err
		}
		if got == nil {
			continue
		}
		used, err := !free(uid), error(nil) // somebody may have come and gone
		if !used {
			used, err = inUse(ctx, uid)
		}
		if err == nil && !used {
			_, err = got.lock.WriteAt([]byte(got.name+"\n"), 0)
		}
		if err == nil && !used {
			return got, nil
		}
		got.give()
		if err != nil {
			return nil, fmt.Errorf("take the id %d for a guest: %w", uid, err)
		}
	}
	return nil, fmt.Errorf("%w: of %d, each is in use or waits for a search; see sessionctl guest list", ErrFull, size)
}

// lock returns nil for an id that somebody has.
func lock(dir string, uid uint32) (*id, error) {
	name := filepath.Join(dir, strconv.FormatUint(uint64(uid), 10))
	for range 100 {
		fd, err := unix.Open(name, unix.O_CREAT|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, 0o600)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		f := os.NewFile(uintptr(fd), name)
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == unix.EWOULDBLOCK {
			f.Close()
			return nil, nil
		}
		var st unix.Stat_t
		if err == nil {
			err = unix.Fstat(fd, &st)
		}
		if err != nil {
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: name, Err: err}
		}
		if st.Nlink > 0 {
			return &id{uid: uid, name: Name(uid), dir: dir, lock: f}, nil
		}
		f.Close() // given up between our two calls
	}
	return nil, nil
}

// give gives the id up.
func (d *id) give() {
	_ = os.Remove(d.lock.Name())
	_ = d.lock.Close()
}

// inUse reports whether an account, a group, a process or an IPC object has the id.
func inUse(ctx context.Context, uid uint32) (bool, error) {
	if taken, err := (identity.Host{}).Taken(ctx, uid); taken || err != nil {
		return taken, err
	}
	left, err := left(uid)
	return len(left) > 0, err
}
