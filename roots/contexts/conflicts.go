package contexts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
	"ninefold/namespaces/upper"
)

// conflictsDir is where a layer keeps the context's side of conflicts.
const conflictsDir = "conflicts"

var conflictsKind = record.Kind{Magic: "9foldcc\n", Version: 1, Max: 16 << 20}

func conflictsFile(dir string) string { return filepath.Join(dir, "conflicts.record") }

// conflict keeps the context's side of a file.
func (c *carrier) conflict(e *upper.Entry, name, why string) error {
	c.out.Conflicts = append(c.out.Conflicts, Conflict{name, why})
	if c.keep == "" || e.Whiteout() {
		return nil
	}
	f, err := pathAt(int(e.Parent.Fd()), e.Base())
	if err != nil {
		return err
	}
	defer f.Close()
	return keepNode(f, e.Stat, filepath.Join(c.keep, name))
}

// KeepConflicts writes down which conflicts a layer has.
func (s *Store) KeepConflicts(r Record, layer string, all []Conflict) error {
	name := conflictsFile(s.LayerDir(r, layer))
	if len(all) == 0 {
		err := os.Remove(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return conflictsKind.Write(name, all)
}

// Conflicts are those of the layer in use that are not settled. One whose context's
// side is in place is: whoever put that there was killed, or did it by hand.
func (s *Store) Conflicts(r Record) (all []Conflict, err error) {
	dir := s.LayerDir(r, r.Layer)
	err = conflictsKind.Read(conflictsFile(dir), &all)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	layer, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer layer.Close()
	return slices.DeleteFunc(all, func(c Conflict) bool { return placed(layer, c.Path) }), nil
}

// placed reports whether a layer has the context's side of a conflict in place. What
// cannot be compared is not.
func placed(layer *os.File, name string) bool {
	dir := layer.Name()
	mine, err := nodeAt(unix.AT_FDCWD, filepath.Join(dir, conflictsDir, name))
	if err != nil {
		return false
	}
	// No link that the context's root has put there is followed.
	there, err := (&target{root: int(layer.Fd())}).look(strings.TrimPrefix(inLayer(dir, name), dir))
	switch {
	case err != nil || !there.exists:
		return false
	case !mine.exists:
		return there.kind() == unix.S_IFCHR // a whiteout: a context can make no devices
	case mine.kind() == unix.S_IFDIR:
		return there.sameOwner(mine)
	}
	return there.sameContent(mine) && there.sameOwner(mine)
}

// Mine is what holds the context's side of a conflict; "" says that the context had
// removed it. Of a directory it is one with its owner and mode.
func (s *Store) Mine(r Record, name string) (string, error) {
	all, err := s.Conflicts(r)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(all, func(c Conflict) bool { return c.Path == name }) {
		return "", fmt.Errorf("context %s: %s: %w", r.Name, name, ErrNoConflict)
	}
	at := filepath.Join(s.LayerDir(r, r.Layer), conflictsDir, name)
	if _, err := os.Lstat(at); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return at, nil
}

// ErrNoConflict says that there is no conflict about a file.
var ErrNoConflict = errors.New("there is no conflict about it")

// Settle takes a conflict off the list. With root, an open directory whose ids
// are first more than those on disk, the context's side is put in place first.
func (s *Store) Settle(r Record, name string, root *os.File, first uint32) error {
	at, err := s.Mine(r, name)
	if err != nil {
		return err
	}
	if root != nil {
		t := &target{int(root.Fd()), first}
		if at == "" {
			err = t.remove(name)
		} else {
			err = t.putCopy(name, at)
		}
		if err != nil {
			return err
		}
	}
	all, err := s.Conflicts(r)
	if err != nil {
		return err
	}
	return s.KeepConflicts(r, r.Layer, slices.DeleteFunc(all, func(c Conflict) bool { return c.Path == name }))
}
