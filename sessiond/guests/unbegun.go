package guests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ninefold/internal/record"
)

// unbegun takes away what a keeper left that was killed before its guest was written
// down, and so before anybody was let in: the lock of an id, and half a record. A lock that
// somebody holds is theirs, and one in a service's name is systemd's.
func (g *Guests) unbegun() error {
	halves, err := filepath.Glob(filepath.Join(g.taken(), "*"+halfRecord))
	if err != nil {
		return err
	}
	locks, err := os.ReadDir(g.locks)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for locks of guests: %w", err)
	}
	ids := map[uint32]bool{}
	for _, name := range halves {
		// The record itself, if there is one, is whole.
		if uid, ok := ofRange(strings.TrimSuffix(filepath.Base(name), halfRecord)); ok {
			ids[uid] = true
		}
	}
	for _, e := range locks {
		uid, ok := ofRange(e.Name())
		if !ok || !e.Type().IsRegular() || g.isTaken(uid) {
			continue
		}
		holder, err := os.ReadFile(filepath.Join(g.locks, e.Name()))
		if err == nil && (len(holder) == 0 || string(holder) == Name(uid)+"\n") {
			ids[uid] = true
		}
	}
	var failed error
	for uid := range ids {
		failed = errors.Join(failed, g.clear(uid))
	}
	return failed
}

// halfRecord ends the name of a record that is being written.
const halfRecord = record.Aside

// clear takes away half a record of uid, and its lock unless a guest has the id.
func (g *Guests) clear(uid uint32) error {
	id, err := lock(g.locks, uid)
	if err != nil || id == nil {
		return err
	}
	defer id.give() // its file, too: a guest that is over has it made again when it is swept
	if err := os.Remove(g.record(uid) + halfRecord); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take away half a record of a guest: %w", err)
	}
	return nil
}

// ofRange reads the name of a record or of a lock.
func ofRange(name string) (uint32, bool) {
	n, err := strconv.ParseUint(name, 10, 32)
	return uint32(n), err == nil && n >= FirstID && n <= LastID && strconv.FormatUint(n, 10) == name
}
