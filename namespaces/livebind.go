package namespaces

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// The errors of binds into live namespaces.
var (
	// ErrTarget: a live bind does not land there.
	ErrTarget = errors.New("a live bind lands below the home directory, or on /n/NAME")
	// ErrNotOurs: what is mounted there was not bound live.
	ErrNotOurs = errors.New("what is mounted there is not a live bind")
)

// Live is a live mount namespace that the daemon binds into.
type Live struct {
	// View is where the bind lands; From is where its source is looked up, the
	// host say, nil being the view itself.
	View, From *os.File
	// User is whose the view is, and Home their home directory: source and
	// target are looked up with the file access of that user.
	User plan.Identity
	Home string
	// AsRoot looks the source up as root, for root.
	AsRoot bool
}

// onN is the directory that is everybody's for mounting.
const onN = "/n/"

// Bind attaches source, with everything mounted below it, at target. The mount
// is cut off from propagation, and setuid files and devices in it are dead. It
// returns the mount's id.
//
// The copy is always a recursive one: what lies under a mount may have been
// covered on purpose (mount_namespaces(7)).
func (l Live) Bind(source, target string, readOnly bool) (id uint64, err error) {
	err = l.inView(func() error {
		tree, err := l.open(source)
		if err != nil {
			return err
		}
		defer tree.Close()
		attr := kernel.NoSuid | kernel.NoDev
		if readOnly {
			attr |= kernel.ReadOnly
		}
		if err := kernel.Private(tree, true); err != nil {
			return err
		}
		if err := kernel.SetAttr(tree, attr, true); err != nil {
			return err
		}
		id, err = l.put(tree, target)
		return err
	})
	return id, err
}

// put attaches a mount at target, and returns its id.
func (l Live) put(tree kernel.FD, target string) (id uint64, err error) {
	dir, err := kernel.IsDir(tree)
	if err != nil {
		return 0, err
	}
	at, err := l.target(target, dir)
	if err != nil {
		return 0, err
	}
	defer at.Close()
	if d, err := kernel.IsDir(at); err != nil || d != dir {
		return 0, errors.Join(err, fmt.Errorf("bind at %s: a directory goes onto a directory, and a file onto a file", target))
	}
	if err := kernel.Attach(tree, at, target); err != nil {
		return 0, err
	}
	id, _, err = kernel.MountID(tree)
	return id, err
}

// Unbind takes the mount of that id off target, if it is what is there.
func (l Live) Unbind(target string, id uint64) error {
	return l.inView(func() error {
		at, err := l.target(target, false)
		if err != nil {
			return err
		}
		defer at.Close()
		now, _, err := kernel.MountID(at)
		if err != nil {
			return err
		}
		if now != id {
			return fmt.Errorf("unmount %s: %w", target, ErrNotOurs)
		}
		return kernel.Detach(at, target)
	})
}

// inView runs f on a thread in the view, at its root.
func (l Live) inView(f func() error) error {
	return kernel.InMountNamespace(kernel.FD(l.View.Fd()), f)
}

// open copies the mount of source. A mount can be copied in its own namespace
// alone (open_tree(2)), so the thread goes there and comes back.
func (l Live) open(source string) (tree kernel.FD, err error) {
	if l.From != nil {
		if err := kernel.EnterMountNamespace(kernel.FD(l.From.Fd())); err != nil {
			return kernel.None, err
		}
	}
	who := l.User
	if l.AsRoot {
		who = plan.Identity{}
	}
	at := kernel.None
	if err := kernel.AsUser(who.UID, who.GID, who.Groups, func() (err error) {
		if at, err = kernel.OpenHost(source); err != nil {
			return err
		}
		// A name of a file that one may not read is no more to be had than a
		// hard link to it (protected_hardlinks of proc_sys_fs(5)): what reads it
		// there with more rights could be led to take it for the user's own.
		return kernel.MayRead(at)
	}); err != nil {
		at.Close()
		return kernel.None, err
	}
	defer at.Close()
	if tree, err = kernel.OpenTree(at, true); err != nil || l.From == nil {
		return tree, err
	}
	if err := kernel.EnterMountNamespace(kernel.FD(l.View.Fd())); err != nil {
		tree.Close()
		return kernel.None, err
	}
	return tree, nil
}

// CheckTarget reports whether a live bind may land on target as far as its name
// goes: absolute, clean, below home or directly below /n.
func CheckTarget(home, target string) error {
	if path.Clean(target) != target || strings.ContainsRune(target, 0) {
		return fmt.Errorf("%q: %w", target, ErrTarget)
	}
	if name, ok := strings.CutPrefix(target, onN); ok && name != "" && !strings.Contains(name, "/") {
		return nil
	}
	if home = path.Clean(home); home != "/" && strings.HasPrefix(home, "/") && strings.HasPrefix(target, home+"/") {
		return nil
	}
	return fmt.Errorf("%q: %w", target, ErrTarget)
}

// target opens where a bind lands: below the home as its user, and no link
// there leads out of it; on /n as root, in a directory that is root's, where a
// missing NAME is made.
func (l Live) target(target string, dir bool) (at kernel.FD, err error) {
	if err := CheckTarget(l.Home, target); err != nil {
		return kernel.None, err
	}
	root, err := kernel.OpenHost("/") // the view's: that is where the thread is
	if err != nil {
		return kernel.None, err
	}
	defer root.Close()
	if strings.HasPrefix(target, onN) {
		n, err := kernel.MkdirAllIn(root, path.Dir(target), 0o755)
		if err != nil {
			return kernel.None, err
		}
		defer n.Close()
		if owner, err := kernel.Owner(n); err != nil || owner != 0 {
			return kernel.None, errors.Join(err, fmt.Errorf("bind at %s: %s is not root's", target, path.Dir(target)))
		}
		if dir {
			if err := kernel.Mkdir(n, path.Base(target), 0o755, 0, 0); err != nil {
				return kernel.None, err
			}
		}
		return kernel.OpenTargetIn(n, path.Base(target), 0)
	}
	err = kernel.AsUser(l.User.UID, l.User.GID, l.User.Groups, func() error {
		home, err := kernel.OpenIn(root, path.Clean(l.Home), unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		defer home.Close()
		at, err = kernel.OpenBelow(home, strings.TrimPrefix(target, path.Clean(l.Home)+"/"))
		return err
	})
	return at, err
}
