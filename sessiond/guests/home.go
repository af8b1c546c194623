package guests

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/diskfile"
	"ninefold/namespaces"
	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// A profile of root's can keep the home of its guests: a file system in a file, by
// which each session finds what the one before left, as its own. One session at a time
// has it: its lock goes with its last mount.

// The errors about kept homes that a caller tells apart.
var (
	// ErrHomeInUse says that another session has the home.
	ErrHomeInUse = errors.New("another guest has the home that the profile keeps")
	// ErrHomeOthers says that somebody is not to see what is in the home.
	ErrHomeOthers = errors.New("the home that the profile keeps is for guests who log in, and for root")
	// ErrHomeWaits says that sessions with such a home are not prepared.
	ErrHomeWaits = errors.New("a session whose home is kept cannot wait for its guest: nobody else could have the home")
	// ErrNoHome says that no home is kept for the profile.
	ErrNoHome = errors.New("no home is kept")
)

// Home is one that is kept.
type Home struct {
	Profile string `json:"profile"`
	Size    int64  `json:"size"` // at most, in bytes
	Used    int64  `json:"used"` // of the disk, in bytes
	InUse   bool   `json:"in_use"`
}

func (g *Guests) homes() string { return filepath.Join(g.dir, "homes") }

// HomeDisk is the file of the home that a profile keeps.
func (g *Guests) HomeDisk(profile string) string { return filepath.Join(g.homes(), profile, "disk") }

// kept returns the home that p keeps.
func kept(p *plan.Plan) (d plan.Disk, ok bool) {
	i := slices.IndexFunc(p.Ops, func(op plan.Op) bool { _, ok := op.(plan.Disk); return ok })
	if i < 0 {
		return d, false
	}
	return p.Ops[i].(plan.Disk), true
}

// readyHome makes the home that p keeps, if there is none yet.
func (g *Guests) readyHome(ctx context.Context, p *plan.Plan) error {
	d, ok := kept(p)
	if !ok {
		return nil
	}
	if g.of.uid != 0 {
		return ErrHomeOthers
	}
	if _, err := os.Lstat(d.Source); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeHome(ctx, d); err != nil {
		return fmt.Errorf("make the home that is kept: %w", err)
	}
	return nil
}

// makeHome makes the file of a home aside, and puts it in its place whole.
func makeHome(ctx context.Context, d plan.Disk) error {
	dir, err := lockHome(filepath.Dir(d.Source))
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := os.Lstat(d.Source); !errors.Is(err, fs.ErrNotExist) {
		return err // somebody else made it meanwhile
	}
	// Never a name that was used before: mkfs.ext4 outlives a keeper that is killed.
	if err := takeAside(dir.Name()); err != nil {
		return err
	}
	aside := filepath.Join(dir.Name(), asidePrefix+rand.Text())
	if err := diskfile.Make(ctx, aside, d.Size, ""); err != nil {
		return errors.Join(err, gone(os.Remove(aside)))
	}
	f, err := os.OpenFile(aside, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(reserve(f, d.Size), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, gone(os.Remove(aside)))
	}
	if err := os.Rename(aside, d.Source); err != nil {
		return err
	}
	return dir.Sync()
}

// reserve takes all of the room at once (fallocate(2)): on a machine's disk that became
// full later, what guests have written to their home would be lost. Where a file
// system cannot do that, the room is taken as the home fills.
func reserve(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	for err == unix.EINTR {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	}
	if err == nil || err == unix.EOPNOTSUPP {
		return nil
	}
	return &os.PathError{Op: "take the room for", Path: f.Name(), Err: err}
}

// asidePrefix begins the name of a home that is being made.
const asidePrefix = "new-"

// takeAside takes away what keepers have left that were killed while they made a home.
func takeAside(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), asidePrefix) {
			err = errors.Join(err, gone(os.Remove(filepath.Join(dir, e.Name()))))
		}
	}
	return err
}

// lockHome makes the directory of a home, and locks it against all who make or
// remove the home.
func lockHome(name string) (*os.File, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(name)
	for err == nil {
		if err = unix.Flock(int(dir.Fd()), unix.LOCK_EX); err == nil {
			return dir, nil
		}
		if err == unix.EINTR {
			err = nil
			continue
		}
		dir.Close()
	}
	return nil, err
}

// inHome says of an error of a session that was to be made why there is no home.
func inHome(err error) error {
	if errors.Is(err, namespaces.ErrDiskInUse) {
		return fmt.Errorf("%w, and it is one guest's at a time", ErrHomeInUse)
	}
	return err
}

// Homes lists the homes that are kept, by the names of their profiles.
func (g *Guests) Homes() ([]Home, error) {
	names, err := namesIn(g.homes())
	var all []Home
	for _, name := range names {
		h := Home{Profile: name}
		st, serr := os.Lstat(g.HomeDisk(name))
		if errors.Is(serr, fs.ErrNotExist) {
			continue // it is being made, or removed
		}
		if serr == nil {
			h.Size = st.Size()
			h.Used, serr = diskfile.Used(g.HomeDisk(name))
		}
		if serr == nil {
			h.InUse, serr = g.inUse(name)
		}
		if err = errors.Join(err, serr); serr == nil {
			all = append(all, h)
		}
	}
	return all, err
}

func (g *Guests) inUse(profile string) (bool, error) {
	disk, err := kernel.OpenDisk(g.HomeDisk(profile))
	disk.Close()
	if errors.Is(err, kernel.ErrDiskInUse) {
		return true, nil
	}
	return false, gone(err)
}

// ForgetHome removes the home that a profile keeps, with all that guests left in
// it: the next one begins with an empty one. ErrHomeInUse says that a session has it.
func (g *Guests) ForgetHome(profile string) error {
	if filepath.Base(profile) != profile || profile == ".." || profile == "." {
		return fmt.Errorf("%w for profile %q", ErrNoHome, profile)
	}
	dir := filepath.Dir(g.HomeDisk(profile))
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w for profile %s", ErrNoHome, profile)
	}
	lock, err := lockHome(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	disk, err := kernel.OpenDisk(g.HomeDisk(profile))
	switch {
	case errors.Is(err, kernel.ErrDiskInUse):
		return fmt.Errorf("forget the home of profile %s: %w", profile, ErrHomeInUse)
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	}
	defer disk.Close()
	return os.RemoveAll(dir)
}
