package contexts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Claim is the sole use of a context, to change its layers: nobody is in it.
type Claim struct {
	s    *Store
	rec  Record
	lock *os.File
}

// Claim claims a context. It is ErrInUse while somebody is in it.
func (s *Store) Claim(r Record) (*Claim, error) {
	c, err := s.ClaimToDelete(r)
	if err != nil {
		return nil, err
	}
	if err = s.Ready(context.Background(), c.rec); err == nil {
		err = c.sweep()
	}
	if err != nil {
		c.Release()
		return nil, err
	}
	return c, nil
}

// ClaimToDelete is Claim for a context whose layers do not matter any more, and
// perhaps cannot be reached.
func (s *Store) ClaimToDelete(r Record) (*Claim, error) {
	lock, err := s.lockUse(r, unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		return nil, err
	}
	c := &Claim{s: s, lock: lock}
	c.rec, err = s.read(r.ID)
	if err != nil {
		c.Release()
		return nil, err
	}
	return c, nil
}

// Use keeps others from changing the layers of a context for as long as the
// file is open. It waits while somebody does, a moment at most.
func (s *Store) Use(ctx context.Context, r Record) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		f, err := s.lockUse(r, unix.LOCK_SH|unix.LOCK_NB)
		if err == nil {
			if err = s.Ready(ctx, r); err != nil {
				f.Close()
				return nil, err
			}
		}
		if !errors.Is(err, ErrInUse) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: it is being changed", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Again returns a context as it is now: between Find and Use somebody may have
// changed it.
func (s *Store) Again(r Record) (Record, error) { return s.read(r.ID) }

func (s *Store) lockUse(r Record, how int) (*os.File, error) {
	f, err := lockFile(filepath.Join(s.Dir(r), useLock), how)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	if err == nil {
		// Deleted and perhaps made again meanwhile: that is another one.
		if _, gone := os.Stat(filepath.Join(s.Dir(r), recordFile)); gone != nil {
			f.Close()
			err = ErrNotFound
		}
	}
	if err != nil {
		return nil, fmt.Errorf("context %s: %w", r.Name, err)
	}
	return f, nil
}

// Record is the context as it is now.
func (c *Claim) Record() Record { return c.rec }

// Release gives the context back.
func (c *Claim) Release() { c.lock.Close() }

// sweep removes the layers that the record does not speak of: those of a change
// that was killed, or that is undone for good, unless something stands on them.
func (c *Claim) sweep() error {
	dir := filepath.Join(c.s.Dir(c.rec), layersDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if c.rec.names(e.Name()) {
			continue
		}
		// What something stands on goes with a later change.
		if stood, err := c.s.Stood(c.rec, e.Name()); err != nil {
			return err
		} else if stood {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(c.s.Dir(c.rec), standingDir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (c *Claim) update(change func(*Record) error) error {
	err := c.s.Update(c.rec, func(r *Record) error {
		if err := change(r); err != nil {
			return err
		}
		if n := len(r.Points) - MaxPoints; n > 0 {
			r.Points = slices.Clone(r.Points[n:])
		}
		c.rec = *r
		return nil
	})
	if err != nil {
		return err
	}
	return c.sweep()
}

// Snapshot keeps the state that the context is in. What is written from now on
// goes to a copy.
func (c *Claim) Snapshot(ctx context.Context, now time.Time) error {
	layer, err := c.copy(ctx)
	if err != nil {
		return fmt.Errorf("snapshot of the context %s: %w", c.rec.Name, err)
	}
	return c.update(func(r *Record) error {
		r.Points = append(slices.Clone(r.Points), r.current("snapshot", now))
		r.Layer, r.Last, r.Undone = layer, c.number(layer), nil
		return nil
	})
}

// Begin makes a new, empty layer that the record does not speak of yet; Replace
// takes it into use.
func (c *Claim) Begin() (layer string, err error) {
	layer = strconv.Itoa(c.rec.Last + 1)
	return layer, os.Mkdir(c.s.LayerDir(c.rec, layer), 0o700)
}

// Replace puts a layer that Begin made in the place of the one in use, which is
// kept for undo.
func (c *Claim) Replace(layer, why string, stands Stands, now time.Time) error {
	if err := syncLayer(c.s.LayerDir(c.rec, layer)); err != nil {
		return err
	}
	return c.update(func(r *Record) error {
		r.Points = append(slices.Clone(r.Points), r.current(why, now))
		r.Layer, r.Last, r.Undone, r.Stands = layer, c.number(layer), nil, stands
		return nil
	})
}

// Undo goes back to the newest state that is kept; redo comes back from there.
func (c *Claim) Undo(now time.Time) (Point, error) {
	var to Point
	err := c.update(func(r *Record) error {
		n := len(r.Points) - 1
		if n < 0 {
			return fmt.Errorf("undo in the context %s: %w", r.Name, ErrNothing)
		}
		to = r.Points[n]
		left := r.current("undone", now)
		r.goTo(to)
		r.Undone, r.Points = &left, slices.Clone(r.Points[:n])
		return nil
	})
	return to, err
}

// Redo takes the last Undo back.
func (c *Claim) Redo(now time.Time) error {
	return c.update(func(r *Record) error {
		if r.Undone == nil {
			return fmt.Errorf("redo in the context %s: %w", r.Name, ErrNothing)
		}
		r.Points = append(slices.Clone(r.Points), r.current("redone", now))
		r.goTo(*r.Undone)
		r.Undone = nil
		return nil
	})
}

func (c *Claim) number(layer string) int {
	n, _ := strconv.Atoi(layer) // Begin made it of a number
	return n
}

// copy makes a copy of the layer in use: owners, extended attributes, links and
// whiteouts as they are, and without taking room where the disk can share it.
func (c *Claim) copy(ctx context.Context) (layer string, err error) {
	layer = strconv.Itoa(c.rec.Last + 1)
	return layer, c.copyTo(ctx, c.rec.Layer, c.s.LayerDir(c.rec, layer))
}

// copyTo copies a directory below "layers" to another place, with further options of
// cp(1).
func (c *Claim) copyTo(ctx context.Context, layer, to string, options ...string) error {
	cp := exec.CommandContext(ctx, "/bin/cp", append(append([]string{"-a"}, options...), "--reflink=auto", "--", c.s.LayerDir(c.rec, layer), to)...)
	cp.Env = []string{"LC_ALL=C"}
	// Killed with us, or rather with this thread; and until it has ended nobody
	// else can claim the context.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cp.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cp.ExtraFiles = []*os.File{c.lock}
	if out, err := cp.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(string(out), "\n")
		return errors.Join(fmt.Errorf("copy the layer: %w: %.500s", err, first), os.RemoveAll(to))
	}
	return syncLayer(to)
}

// syncLayer brings a layer to disk, before a record speaks of it.
func syncLayer(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(d.Fd())))
}
