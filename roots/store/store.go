// Package store keeps images on disk: file content by its sha256, package and
// image records, tags, and what the drivers compose from them.
//
// # Layout
//
//	version              "ninefold store 1"
//	objects/ab/cdef...   file content, named by its sha256; 0400
//	packages/<id>        package records (pkg.Encode) whose objects are on disk for good
//	pending/<boot>/<id>  package records of this boot that no Sync has covered yet
//	unsynced/<boot>-*    one marker for each process with writes that no Sync has covered
//	images/<id>          manifests
//	tags/<name>          the image that a name stands for
//	converted/<hash>     conversion cache: which package came out of which input
//	finished/<id>        what image id was finished with, so that a collection keeps it for the next build
//	signatures/<id>/     envelopes over a package or an image, each named by its sha256
//	origins/<id>         where an image came from that was not built here
//	packed/, sources/    notes about packages, which can be made anew
//	seen/<name>          the newest version of a tag that was seen
//	composefs/           metadata images (<id>+<parent> lies over the parent's), farm/ and farm-objects/: hard-link farms
//	leases/, locks/      flock(2) files
//	partial/<digest>     the beginning of a blob that is on its way; locked by who brings it
//	tmp/                 what is being written; each thing in it is locked by its writer
//
// # What survives a crash
//
// Records are written aside, synced and renamed, so each is whole or absent.
// Objects are too many for an fsync each. Instead, nothing durable refers to an
// object before a syncfs(2) has covered it: a package record lies in pending until
// Sync moves it to packages, and only then may an image refer to it. After SIGKILL
// the page cache is intact and pending records stay valid, so nothing is lost.
// After a power cut the boot id has changed: pending records of the other boot are
// dropped, and because a marker in unsynced says that there were uncovered
// writes, every object that no durable package refers to is deleted before the
// first new write. So an object whose name survived and whose content did not
// can never be taken for good. References point from images to packages to objects;
// things are made in the opposite order and collected in this one, so a reference always holds.
package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ninefold/internal/progress"
)

// layoutVersion is the version of the directory's layout.
const layoutVersion = 1

const versionPrefix = "ninefold store "

// The directories of a store.
var layout = []string{"objects", "packages", "pending", "unsynced", "images", "tags", "converted", "finished", "signatures", "origins", "seen", "packed", "sources", "composefs", "farm", "farm-objects", "leases", "locks", "partial", "tmp"}

// Store is an open store. Its methods are safe for use by several goroutines,
// and several processes may have one store open.
type Store struct {
	*state
	sink progress.Sink
}

// state is shared by all values that WithProgress makes of one Open.
type state struct {
	dir     string
	root    *os.File
	objects *os.File
	boot    string

	mu        sync.Mutex // guards marker and recovered
	marker    *os.File
	recovered bool
	marked    atomic.Bool
	begun     atomic.Int64 // writes of objects and package records
	ended     atomic.Int64
	noTmpfile atomic.Bool
}

// Open opens the store in dir, and makes it if dir is empty or absent. Opening
// one that exists writes nothing, so that it works on a read-only file system. A store of a newer
// version is left untouched: the error wraps ErrVersion.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := prepare(dir); err != nil {
		return nil, explain(dir, err)
	}
	st := &state{dir: dir}
	if st.boot, err = bootID(); err != nil {
		return nil, err
	}
	if st.root, err = os.Open(dir); err != nil {
		return nil, explain(dir, err)
	}
	if st.objects, err = os.Open(filepath.Join(dir, "objects")); err != nil {
		st.root.Close()
		return nil, explain(dir, err)
	}
	return &Store{state: st, sink: progress.None}, nil
}

// Close releases the descriptors. What was written stays valid whether or not
// Close is called.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marker != nil {
		s.marker.Close()
		s.marker = nil
		s.marked.Store(false)
	}
	return errors.Join(s.objects.Close(), s.root.Close())
}

// WithProgress returns the same store with long operations reporting to sink.
func (s *Store) WithProgress(sink progress.Sink) *Store { return &Store{state: s.state, sink: sink} }

// Progress is where long operations report to; never nil.
func (s *Store) Progress() progress.Sink { return s.sink }

// Dir is the store's directory.
func (s *Store) Dir() string { return s.dir }

// ObjectsDir is the directory that holds the objects as ab/cdef....
func (s *Store) ObjectsDir() string { return s.path("objects") }

func (s *Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// prepare checks the version of the store in dir, or makes an empty store.
func prepare(dir string) error {
	there := func() (bool, error) {
		b, err := os.ReadFile(filepath.Join(dir, "version"))
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		if err == nil {
			err = checkVersion(string(b))
		}
		return true, err
	}
	if ok, err := there(); ok {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	// Somebody else may have made it meanwhile.
	if ok, err := there(); ok {
		return err
	}
	for _, e := range entries {
		// A store whose making was interrupted holds these and no version yet.
		if !slices.Contains(layout, e.Name()) && !strings.HasPrefix(e.Name(), "version.") {
			return fmt.Errorf("%w: it holds %q", ErrNotStore, e.Name())
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	for _, d := range layout {
		if err := mkdir(filepath.Join(dir, d)); err != nil {
			return err
		}
	}
	for i := range 256 {
		if err := mkdir(filepath.Join(dir, "objects", fmt.Sprintf("%02x", i))); err != nil {
			return err
		}
	}
	// The version is written last: it says that everything else is there.
	return replaceFile(filepath.Join(dir, "version."+rand.Text()), filepath.Join(dir, "version"),
		[]byte(versionPrefix+strconv.Itoa(layoutVersion)+"\n"))
}

func mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func checkVersion(s string) error {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(s, versionPrefix), "\n"))
	switch {
	case err != nil || !strings.HasPrefix(s, versionPrefix):
		return fmt.Errorf("%w: its version file is not one", ErrNotStore)
	case n > layoutVersion:
		return fmt.Errorf("%w: version %d, this program knows up to %d", ErrVersion, n, layoutVersion)
	}
	return nil
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("which boot this is: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if id == "" || strings.ContainsAny(id, "/ ") {
		return "", fmt.Errorf("which boot this is: boot_id holds %q", id)
	}
	return strings.ReplaceAll(id, "-", ""), nil
}

// syncfs writes out everything that was written to the store's file system.
func (s *Store) syncfs() error {
	if err := unix.Syncfs(int(s.root.Fd())); err != nil {
		return fmt.Errorf("write out the store: %w", err)
	}
	return nil
}
