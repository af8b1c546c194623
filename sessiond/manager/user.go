package manager

import (
	"context"
	"errors"
	"fmt"
	"os"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/identity"
)

// ErrNotRoot says that only root can do this.
var ErrNotRoot = errors.New("only root can do this")

// findUser returns whom a session is for: the named user, or the caller. Under
// sudo the caller is root: what a profile opens to root is opened only to who
// became root, and --user says otherwise in plain sight.
func findUser(ctx context.Context, name string) (identity.User, error) {
	self := uint32(os.Getuid())
	if name == "" {
		u, err := identity.Host{}.ByUID(ctx, self)
		if errors.Is(err, identity.ErrNoUser) && self == 0 {
			// A root file system may lack accounts; root is root all the same.
			return identity.User{Name: "root", Home: "/root", Shell: "/bin/sh", Groups: []uint32{0}}, nil
		}
		return u, err
	}
	u, err := identity.Host{}.ByName(ctx, name)
	if err == nil && self != 0 && u.UID != self {
		return u, fmt.Errorf("open a session for %s: %w", u.Name, ErrNotRoot)
	}
	return u, err
}

func planUser(u identity.User) plan.User {
	return plan.User{Name: u.Name, UID: u.UID, GID: u.GID, Groups: u.Groups, GroupNames: u.GroupNames, Home: u.Home, Shell: u.Shell}
}
