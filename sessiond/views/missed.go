package views

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/profile"
)

// maxStarts bounds how often the root of a view is begun anew.
const maxStarts = 3

// start makes the root of v, anew where it has missed the user's runtime directory.
func start(v *View, u identity.User, p *profile.Profile, login *manager.Login) (*namespaces.Session, error) {
	for n := 1; ; n++ {
		s, err := namespaces.Start(context.Background(), login.Plan, namespaces.Command{Hold: login.Files(), Stamp: login.Stamp})
		if err != nil {
			return nil, fmt.Errorf("make the view of profile %s: %w", p.Name, err)
		}
		if v.Own() {
			return s, nil // it has one of its own
		}
		missed, err := missesRuntime(s.PID(), u.UID)
		if err == nil && !missed {
			return s, nil
		}
		if err == nil && n == maxStarts {
			err = errors.New("what is mounted on the user's runtime directory does not come to be in it")
		}
		if cerr := s.Close(); err != nil || cerr != nil {
			return nil, fmt.Errorf("make the view of profile %s: %w", p.Name, errors.Join(err, cerr))
		}
	}
}

// missesRuntime reports whether the root of pid has another /run/user/UID than the
// host. logind has that mounted while views are made, and what is mounted on the host
// does not come into a copy of /run that has no place in a mount namespace yet
// (IS_MNT_NEW in the kernel's fs/pnode.h); nor later. From when the copy has its
// place every mount comes, so one look afterwards is enough.
func missesRuntime(pid int, uid uint32) (bool, error) {
	name := "/run/user/" + strconv.FormatUint(uint64(uid), 10)
	var host, view unix.Stat_t
	switch err := unix.Lstat(name, &host); {
	case errors.Is(err, unix.ENOENT):
		return false, nil // it comes later
	case err != nil:
		return false, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	root, err := openRoot(pid)
	if err != nil {
		return false, err
	}
	defer unix.Close(root)
	// /run is the host's: no link of the root's leads elsewhere.
	switch err := unix.Fstatat(root, name[1:], &view, unix.AT_SYMLINK_NOFOLLOW); {
	case errors.Is(err, unix.ENOENT):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("look into the root: %w", err)
	}
	return host.Dev != view.Dev || host.Ino != view.Ino, nil
}
