// Package parked keeps what logouts would throw away for a while: the files that
// a session wrote outside the home, copied out of its writable layers, and layers
// that were kept and can be kept no longer. They lie on disk, below the state
// directory, where root alone can look: in memory they would stay in use for as
// long as nobody logs in again, and be gone with the machine's power.
//
//	STATE/parked/UID/ID/record    what it is
//	STATE/parked/UID/ID/layers    the layers, as package namespaces lays them out
package parked

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
)

const (
	// each is how many logouts of a user and profile are parked at most, most how
	// many of a user (who can have any number of profiles), maxUser how many bytes
	// of a user's logouts, and keepFor for how long.
	each    = 3
	most    = 12
	maxUser = 2 * maxBytes
	keepFor = 14 * 24 * time.Hour
)

// The errors a caller tells apart.
var (
	// ErrNotFound says that nothing is parked under an id.
	ErrNotFound = errors.New("nothing is parked under that id")
	// ErrEmpty says that there was nothing to park.
	ErrEmpty = errors.New("nothing was written")
	// ErrFull says that the disk has no room for what is thrown away.
	ErrFull = errors.New("the disk is too full: a twentieth of it, and of its inodes, is left to others")
)

// The kinds of Item.
const (
	Logout   = "logout"    // what a logout threw away
	SetAside = "set-aside" // a kept layer that its base has changed under
)

// Item is what is parked at one time.
type Item struct {
	ID      string `json:"id"`
	UID     uint32 `json:"uid"`
	User    string `json:"user"`
	Profile string `json:"profile"`
	Kind    string `json:"kind"`
	// View is the view that wrote it, "" for none.
	View string    `json:"view"`
	When time.Time `json:"when"`
	// Files and Bytes are what is there, and Left how many files are not, or not
	// whole: they did not fit, cannot be told from the root they belong to, or
	// could not be copied, of which Why is the first reason.
	Files int64  `json:"files"`
	Bytes int64  `json:"bytes"`
	Left  int64  `json:"left"`
	Why   string `json:"why,omitempty"`
}

// RecordVersion is the oldest that has what is in it.
func (it *Item) RecordVersion() uint32 {
	if it.Why != "" {
		return 2
	}
	return 1
}

var kind = record.Kind{Magic: "9foldpk\n", Version: 2, Oldest: 1, Max: 64 << 10}

// Shelf is the place of what is parked. Several processes may use it.
type Shelf struct{ dir string }

// On returns the Shelf of a state directory. It is made when it is needed.
func On(state string) *Shelf { return &Shelf{filepath.Join(state, "parked")} }

func (s *Shelf) of(uid uint32) string {
	return filepath.Join(s.dir, strconv.FormatUint(uint64(uid), 10))
}

const (
	aside      = ".new-"
	recordName = "record"
	layersName = "layers"
	lockName   = ".lock"
)

// begin locks the place of a user's and makes a directory for a new item in it.
func (s *Shelf) begin(it *Item) (dir string, unlock func(), err error) {
	place := s.of(it.UID)
	if err := os.MkdirAll(place, 0o700); err != nil {
		return "", nil, err
	}
	if unlock, err = lock(place); err != nil {
		return "", nil, err
	}
	it.ID = strings.ToLower(rand.Text()[:8])
	dir = filepath.Join(place, aside+it.ID)
	if err = os.Mkdir(dir, 0o700); err != nil {
		unlock()
	}
	return dir, unlock, err
}

func lock(place string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(place, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// commit gives a new item its name. Until then a killed process leaves nothing
// that counts.
func (s *Shelf) commit(dir string, it *Item) error {
	if err := kind.Write(filepath.Join(dir, recordName), it); err != nil {
		return err
	}
	return s.name(dir, it.UID, it.ID)
}

func (s *Shelf) name(dir string, uid uint32, id string) error {
	if err := os.Rename(dir, filepath.Join(s.of(uid), id)); err != nil {
		return err
	}
	return record.SyncDir(s.of(uid))
}

// Park copies what was written in l, as far as it fits. It is ErrEmpty when
// that is nothing. Older items of the user and profile make room.
func (s *Shelf) Park(ctx context.Context, l *Layers, it Item) (_ Item, err error) {
	it.Kind = Logout
	if a, err := l.Count(ctx); err != nil {
		return it, fmt.Errorf("park what was written: %w", err)
	} else if a.Files == 0 {
		return it, ErrEmpty
	}
	dir, unlock, err := s.begin(&it)
	if err != nil {
		return it, fmt.Errorf("park what was written: %w", err)
	}
	defer unlock()
	if err = s.fill(ctx, dir, l, &it); err == nil {
		err = s.commit(dir, &it)
	}
	if err != nil {
		return it, errors.Join(fmt.Errorf("park what was written: %w", err), os.RemoveAll(dir))
	}
	s.forget(it)
	s.prune(it.UID, time.Now())
	return it, nil
}

// forget removes what was parked of the same view before: whoever did that was
// killed before the view had ended.
func (s *Shelf) forget(it Item) {
	items, _ := s.listOf(it.UID)
	for _, old := range items {
		if it.View != "" && old.View == it.View && old.ID != it.ID {
			_ = s.remove(old) // one too many does no harm
		}
	}
}

// fill copies into dir, and sees to it that it is on disk.
func (s *Shelf) fill(ctx context.Context, dir string, l *Layers, it *Item) error {
	layers := filepath.Join(dir, layersName)
	if err := os.Mkdir(layers, 0o700); err != nil {
		return err
	}
	to, err := os.Open(layers)
	if err != nil {
		return err
	}
	defer to.Close()
	room := roomIn(to)
	if room <= 0 {
		return ErrFull
	}
	if err := copyWritten(ctx, l, to, min(maxBytes, room), it); err != nil {
		return err
	}
	switch {
	case it.Files == 0 && it.Why != "":
		return errors.New(it.Why)
	case it.Files == 0 && it.Left > 0 && roomIn(to) <= 0:
		return ErrFull
	case it.Files == 0:
		return ErrEmpty
	}
	return unix.Syncfs(int(to.Fd()))
}

// floor is which part of a disk, and of its inodes, is left to others, and share
// which part of the rest one logout gets.
const (
	floor = 20
	share = 4
)

// roomIn is how many bytes may be parked on the disk that dir is on: what is
// thrown away must not fill one that others need. It is 0 when that is unknown.
func roomIn(dir *os.File) int64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return 0
	}
	return room(&st)
}

func room(st *unix.Statfs_t) int64 {
	// Some file systems make inodes as they need them, and say 0.
	if st.Files > 0 && st.Ffree <= st.Files/floor {
		return 0
	}
	least := st.Blocks / floor
	if st.Bavail <= least {
		return 0
	}
	return int64(min((st.Bavail-least), st.Bavail/share)) * st.Bsize
}

// TakeIn moves a layer directory that was kept, on the same file system, here.
// At no moment is it at neither place.
func (s *Shelf) TakeIn(kept string, it Item) (_ Item, err error) {
	it.Kind = SetAside
	dir, unlock, err := s.begin(&it)
	if err != nil {
		return it, fmt.Errorf("set %s aside: %w", kept, err)
	}
	defer unlock()
	if err = kind.Write(filepath.Join(dir, recordName), &it); err == nil {
		err = os.Rename(kept, filepath.Join(dir, layersName))
	}
	if err != nil {
		return it, errors.Join(fmt.Errorf("set %s aside: %w", kept, err), os.RemoveAll(dir))
	}
	if err := errors.Join(record.SyncDir(dir), s.name(dir, it.UID, it.ID)); err != nil {
		return it, fmt.Errorf("set %s aside: %w", kept, err)
	}
	return it, nil
}

// Tidy finishes or removes what killed processes left, and removes what has been
// parked for too long.
func (s *Shelf) Tidy(now time.Time) {
	entries, _ := os.ReadDir(s.dir) // nothing is parked where there is none
	for _, e := range entries {
		uid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		unlock, err := lock(s.of(uint32(uid)))
		if err != nil {
			continue
		}
		s.mend(uint32(uid))
		s.prune(uint32(uid), now)
		unlock()
	}
}

// mend looks after what has no name yet: with a record and layers it is whole.
func (s *Shelf) mend(uid uint32) {
	entries, _ := os.ReadDir(s.of(uid))
	for _, e := range entries {
		id, ok := strings.CutPrefix(e.Name(), aside)
		if !ok {
			continue
		}
		dir := filepath.Join(s.of(uid), e.Name())
		var it Item
		err := kind.Read(filepath.Join(dir, recordName), &it)
		_, lerr := os.Lstat(filepath.Join(dir, layersName))
		switch {
		case errors.Is(err, record.ErrVersion):
		case err == nil && lerr == nil && it.ID == id:
			_ = s.name(dir, uid, id) // tried again the next time
		case err == nil || errors.Is(err, fs.ErrNotExist):
			// Layers are copied before the record is there, and moved after.
			_ = os.RemoveAll(dir)
		}
	}
}

// prune removes what is too old, and of each profile what is too much. A kept
// layer that was set aside stays until somebody discards it.
func (s *Shelf) prune(uid uint32, now time.Time) {
	items, _ := s.listOf(uid)
	count, all, bytes := map[string]int{}, 0, int64(0)
	for _, it := range items { // the newest first
		if it.Kind != Logout {
			continue
		}
		count[it.Profile]++
		all++
		bytes += it.Bytes + it.Files*blockSize
		if count[it.Profile] > each || all > most || bytes > maxUser || now.Sub(it.When) > keepFor {
			_ = s.remove(it)
		}
	}
}

// List returns everything that is parked, of each user the newest first.
// What a newer version parked is left out, and left alone.
func (s *Shelf) List() ([]Item, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Item
	for _, e := range entries {
		uid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		items, err := s.listOf(uint32(uid))
		if err != nil {
			return nil, err
		}
		out = append(out, items...)
	}
	return out, nil
}

func (s *Shelf) listOf(uid uint32) ([]Item, error) {
	entries, err := os.ReadDir(s.of(uid))
	if err != nil {
		return nil, err
	}
	var out []Item
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		var it Item
		if kind.Read(filepath.Join(s.of(uid), e.Name(), recordName), &it) == nil && it.ID == e.Name() && it.UID == uid {
			out = append(out, it)
		}
	}
	slices.SortFunc(out, func(a, b Item) int { return cmp.Or(b.When.Compare(a.When), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// Find returns one item, or ErrNotFound.
func (s *Shelf) Find(id string) (Item, error) {
	items, err := s.List()
	if err != nil {
		return Item{}, err
	}
	for _, it := range items {
		if it.ID == id {
			return it, nil
		}
	}
	return Item{}, fmt.Errorf("%s: %w", id, ErrNotFound)
}

// Discard removes an item for good.
func (s *Shelf) Discard(it Item) error {
	unlock, err := lock(s.of(it.UID))
	if err != nil {
		return err
	}
	defer unlock()
	return s.remove(it)
}

// remove takes the record away first: what is left of a killed removal is no
// item, and mend removes it.
func (s *Shelf) remove(it Item) error {
	dir, gone := filepath.Join(s.of(it.UID), it.ID), filepath.Join(s.of(it.UID), aside+it.ID)
	if err := os.Rename(dir, gone); err != nil {
		return fmt.Errorf("discard %s: %w", it.ID, err)
	}
	if err := os.Remove(filepath.Join(gone, recordName)); err != nil {
		return fmt.Errorf("discard %s: %w", it.ID, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("discard %s: %w", it.ID, err)
	}
	return nil
}
