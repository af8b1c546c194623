package contexts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrStood says that sessions or logins stand on a state of the context: nothing
// writes to it or removes it meanwhile.
var ErrStood = errors.New("sessions or logins stand on it as it is")

// standingDir is where a context has a file for each layer that something stood on,
// which those that do lock.
const standingDir = "standing"

// Stand keeps the state that the context is in as it is for as long as the files are
// open, by whoever has a copy of them. The claim can be released before.
func (c *Claim) Stand() (held []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(held)
			held = nil
			err = fmt.Errorf("stand on the context %s: %w", c.rec.Name, err)
		}
	}()
	dir := filepath.Join(c.s.Dir(c.rec), standingDir)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	for _, layer := range []string{c.rec.Layer, c.rec.Stands.Pin} {
		if layer == "" {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, layer), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return held, err
		}
		held = append(held, f)
		// A lock of the open file, which goes with its last copy (fcntl(2)).
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK}); err != nil {
			return held, &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
	return held, nil
}

// Stood reports whether something stands on a layer of the context. Nothing begins
// to while the context is claimed or in use.
func (s *Store) Stood(r Record, layer string) (bool, error) {
	name := filepath.Join(s.Dir(r), standingDir, layer)
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return false, &os.PathError{Op: "look at the locks of", Path: name, Err: err}
	}
	return lock.Type != unix.F_UNLCK, nil
}

// Unstood is ErrStood when something stands on a layer of the context, and with
// layer "" when it does on any.
func (s *Store) Unstood(r Record, layer string) error {
	layers := []string{layer}
	if layer == "" {
		all, err := os.ReadDir(filepath.Join(s.Dir(r), standingDir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		layers = nil
		for _, e := range all {
			layers = append(layers, e.Name())
		}
	}
	for _, l := range layers {
		if stood, err := s.Stood(r, l); err != nil {
			return err
		} else if stood {
			return &stoodError{r.Name, layer == ""}
		}
	}
	return nil
}

// stoodError is an ErrStood, with what to do.
type stoodError struct {
	name string
	any  bool
}

func (e *stoodError) Error() string { return "context " + e.name + ": " + ErrStood.Error() }

func (e *stoodError) Unwrap() []error { return []error{ErrStood, ErrInUse} }

// Hint says what helps.
func (e *stoodError) Hint() string {
	if e.any {
		return "wait until they have ended; sessionctl session list shows the logins"
	}
	return "sessionctl context snapshot " + e.name + " leaves them that state, and goes on with a copy"
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
