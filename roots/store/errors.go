package store

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What callers need to tell apart.
var (
	// ErrNotFound: no such image, tag, package or object.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous: a prefix that several images begin with.
	ErrAmbiguous = errors.New("ambiguous")
	// ErrVersion: a newer program wrote it; it is left untouched.
	ErrVersion = errors.New("written by a newer version of this program")
	// ErrNotStore: the directory holds something else.
	ErrNotStore = errors.New("not a store")
	// ErrDamaged: a record or object is not what was written.
	ErrDamaged = errors.New("damaged")
	// ErrBusy: another process holds what is needed, and the wait was ended.
	ErrBusy = errors.New("in use by another process")
)

// advised is an error of the file system with what a person can do about it.
type advised struct {
	error
	hint string
}

func (e *advised) Unwrap() error { return e.error }

// Hint returns the advice.
func (e *advised) Hint() string { return e.hint }

// explain names the store in err, and adds advice where there is some.
func explain(dir string, err error) error {
	hint := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		hint = "the disk is full: make room on it, collect unused images, or choose another state directory"
	case errors.Is(err, unix.EROFS):
		hint = "choose another state directory, on a file system that can be written"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		hint = "the state directory belongs to root: run it as root, or choose another one"
	}
	err = fmt.Errorf("store %s: %w", dir, err)
	if hint == "" {
		return err
	}
	return &advised{err, hint}
}

func (s *Store) explain(err error) error { return explain(s.dir, err) }
