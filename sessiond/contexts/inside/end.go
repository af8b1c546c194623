package inside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/roots/contexts"
	"ninefold/sessiond/process"
)

// gone ends the holder, and with it every process in the context, since it is the
// first of a PID namespace, and returns when the kernel has let go of the layer.
// SIGTERM would be the command's, of whom the holder is the keeper.
func (l *live) gone() error {
	holder, err := process.Open(l.PID, l.Start)
	if err != nil {
		return nil
	}
	defer holder.Close()
	if err := process.Signal(holder, unix.SIGKILL); errors.Is(err, process.ErrGone) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := process.Wait(ctx, holder); err != nil {
		return fmt.Errorf("end process %d, which holds the root of a context: %w", l.PID, err)
	}
	_, _ = unix.Wait4(l.PID, nil, unix.WNOHANG, nil) // ours when we made it, and else init's
	return nil
}

// finish waits for a root that is ending.
func (i *Roots) finish(r contexts.Record) error {
	l := read(endingFile(r))
	if l == nil {
		return nil
	}
	if err := l.gone(); err != nil {
		return err
	}
	return os.Remove(endingFile(r))
}

// stop takes the live root of a context down, when it has one. Nobody is in it,
// or those who are lose what they do.
func (i *Roots) stop(r contexts.Record) error {
	unlock, err := i.lock(r)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	if err := i.finish(r); err != nil {
		return err
	}
	l := i.live(r)
	if l == nil {
		return nil
	}
	if err := l.gone(); err != nil {
		return err
	}
	return os.Remove(liveFile(r))
}

// part takes the live root of a context down behind the last one who was in it. Who
// leaves does not wait for the kernel, which brings everything that the file system
// below has to disk when an overlay goes; whoever uses the context next does.
func (i *Roots) part(r contexts.Record) error {
	unlock, err := i.lock(r)
	if err != nil {
		return err
	}
	l := i.live(r)
	// Of snapshots the disk is to be rid of at once.
	if l == nil || !alone(l.PID) || i.store.Frozen(r) {
		unlock()
		return i.stop(r)
	}
	defer unlock()
	holder := l.open()
	if holder == nil {
		return l.gone()
	}
	defer holder.Close()
	if err := os.Rename(liveFile(r), endingFile(r)); err != nil {
		return err
	}
	if err := process.Signal(holder, unix.SIGKILL); err != nil && !errors.Is(err, process.ErrGone) {
		return err
	}
	return nil
}

// alone reports whether the first process of a PID namespace is the only one. Those
// whose parents are gone are its children (pid_namespaces(7)).
func alone(pid int) bool {
	n := strconv.Itoa(pid)
	children, err := os.ReadFile("/proc/" + n + "/task/" + n + "/children") // proc_tid_children(5); some kernels lack it
	return err == nil && len(children) == 0
}

// lock has nobody else make or end the live root of a context until it is given
// back. It waits.
func (i *Roots) lock(r contexts.Record) (unlock func(), err error) {
	name := filepath.Join(i.store.Dir(r), "live.lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return func() { f.Close() }, nil
}
