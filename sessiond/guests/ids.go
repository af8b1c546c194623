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

// firstShared is the first of those that users' own guests get, and prepared sessions,
// which users empty, too: whoever begins guests as fast as they can leaves ids for those
// who log in.
const firstShared = FirstID + (LastID-FirstID+1)/2

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

// take takes an id from first on that systemd has given to nobody, and none of which
// free says no. Each is as likely as another, so that one that was given up is not soon
// somebody else's. Whether anything else has it is to be looked at before it is used
// (unused).
func take(dir string, first uint32, free func(uint32) bool) (*id, error) {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lock an id for a guest: %w", err)
	}
	size := LastID - first + 1
	from := rand.Uint32N(size)
	for i := range size {
		uid := first + (from+i)%size
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
		if !free(uid) { // somebody has come and gone
			got.give()
			continue
		}
		if _, err = got.lock.WriteAt([]byte(got.name+"\n"), 0); err != nil {
			got.give()
			return nil, fmt.Errorf("take the id %d for a guest: %w", uid, err)
		}
		return got, nil
	}
	return nil, fmt.Errorf("%w: of %d, each is in use or waits for a search; see sessionctl guest list", ErrFull, size)
}

// errInUse says that an id is somebody's whom systemd's locks do not know.
var errInUse = errors.New("the id is in use")

// unclaimed is errInUse when an account or a group has uid.
func unclaimed(ctx context.Context, uid uint32) error {
	taken, err := identity.Host{}.Taken(ctx, uid)
	if err == nil && taken {
		err = fmt.Errorf("%w: %d: an account has it", errInUse, uid)
	}
	return err
}

// unused is errInUse when a process, an IPC object or a key has uid.
func unused(uid uint32) error {
	found, err := left(uid)
	if err != nil {
		return fmt.Errorf("look whether the id %d is free: %w", uid, err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %d: %s", errInUse, uid, found[0])
	}
	return nil
}

// lock returns nil for an id that somebody has.
func lock(dir string, uid uint32) (*id, error) {
	f, err := lockFile(filepath.Join(dir, number(uid)))
	if f == nil {
		return nil, err
	}
	return &id{uid: uid, name: Name(uid), dir: dir, lock: f}, nil
}

// lockFile makes and locks a file, which giveUp removes. It is nil when somebody has
// it locked.
func lockFile(name string) (*os.File, error) {
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
			return f, nil
		}
		f.Close() // given up between our two calls
	}
	return nil, nil
}

// give gives the id up.
func (d *id) give() { giveUp(d.lock) }

func giveUp(locked *os.File) {
	_ = os.Remove(locked.Name())
	_ = locked.Close()
}
