package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/plan"
)

// ErrIncomplete says that a part of Ninefold is not installed.
var ErrIncomplete = errors.New("not everything of ninefold is installed")

// ErrKeptInUse says that another session writes to the kept layer.
var ErrKeptInUse = errors.New("the kept layer is in use by another session or login")

const (
	// keptPatience is how long a claim waits for a session that is just ending:
	// less than a login's second.
	keptPatience = 500 * time.Millisecond
	keptLock     = "lock"
)

// kept is a claimed layer of a user and a profile that outlives the session.
type kept struct {
	dir  string
	lock *os.File
}

func keptDir(state string, uid uint32, profile string) string {
	return filepath.Join(state, "kept", strconv.FormatUint(uint64(uid), 10), profile)
}

// keep puts the layer of this user and profile in the place of the one that is
// thrown away. What a user wrote, a user had a hand in.
func (m *Manager) keep(ctx context.Context, p *prepared, claim bool) (err error) {
	dir := keptDir(m.state, p.user.UID, p.profile.Name)
	if err := rely(dir); err != nil {
		return err
	}
	if claim {
		if p.kept, err = claimKept(ctx, dir, p.profile.Name); err != nil {
			return err
		}
		if err := m.rebase(ctx, p); err != nil {
			return fmt.Errorf("keep the layer of profile %s: %w", p.profile.Name, err)
		}
	}
	p.spec.Upper = &plan.Upper{Dir: dir, Origin: plan.Origin(p.user.UID)}
	return nil
}

// claimKept makes the directory of the layer, if there is none yet, and locks
// it: an overlay's upper that two overlays share is undefined. The lock goes
// with the process that holds it, and with whom that gave it to. Everything lies
// below a directory that root alone can enter, so nobody can prepare it.
func claimKept(ctx context.Context, dir, profile string) (*kept, error) {
	ctx, cancel := context.WithTimeout(ctx, keptPatience)
	defer cancel()
	for {
		k, err := tryKept(dir)
		if err == nil {
			return k, nil
		}
		if !errors.Is(err, ErrKeptInUse) {
			return nil, fmt.Errorf("keep the layer of profile %s: %w", profile, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("keep the layer of profile %s in %s: %w", profile, dir, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tryKept(dir string) (_ *kept, err error) {
	for _, d := range []string{dir, filepath.Join(dir, "upper"), filepath.Join(dir, "work")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	// The upper is the session's /, which everybody in it may pass.
	if err := os.Chmod(filepath.Join(dir, "upper"), 0o755); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, keptLock)
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrKeptInUse
		}
		return nil, err
	}
	// Whoever had it may have set the layer aside: then this is the lock of that.
	ours, err := lock.Stat()
	if err != nil {
		return nil, err
	}
	if there, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(ours, there) {
		return nil, ErrKeptInUse
	} else if err != nil {
		return nil, err
	}
	return &kept{dir: dir, lock: lock}, nil
}

func (k *kept) release() {
	if k != nil {
		k.lock.Close()
	}
}
