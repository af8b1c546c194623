package store

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
)

const (
	partialAge  = 7 * 24 * time.Hour // since the last byte came
	maxPartials = 32
	partialRoom = 4 // of what is free, a file may take one part in so many
)

// Partial is the beginning of something large that is on its way into the
// store, in a file that outlives its writer, so that another can go on. What it holds is not to be
// trusted: whoever reads it to the end checks the digest of the whole. It is one goroutine's.
type Partial struct {
	f *os.File
	n int64
}

// Partial opens the beginning of what has digest d and size bytes; it is empty
// when nothing came yet. nil says that nothing is to be kept of it: somebody else is at it, or there
// is no room. A collection removes what nobody went on with for a week.
func (s *Store) Partial(d pkg.Digest, size int64) *Partial {
	var st unix.Statfs_t
	if unix.Fstatfs(int(s.root.Fd()), &st) != nil || uint64(size) > st.Bavail*uint64(st.Bsize)/partialRoom {
		return nil
	}
	// Stores of earlier versions have no such directory.
	if mkdir(s.path("partial")) != nil || s.prunePartials() != nil {
		return nil
	}
	f, err := os.OpenFile(s.path("partial", d.String()), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil
	}
	if ok, err := tryFlock(f, unix.LOCK_EX); err == nil && ok && linked(f) {
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
			p := &Partial{f, st.Size()}
			if p.n <= size || p.Reset() == nil {
				return p
			}
		}
	}
	f.Close()
	return nil
}

// Size is how many bytes there are.
func (p *Partial) Size() int64 { return p.n }

// ReadAt implements io.ReaderAt.
func (p *Partial) ReadAt(b []byte, at int64) (int, error) { return p.f.ReadAt(b, at) }

// Append adds b at the end. After an error it holds what it held before.
func (p *Partial) Append(b []byte) error {
	if _, err := p.f.WriteAt(b, p.n); err != nil {
		return err
	}
	p.n += int64(len(b))
	return nil
}

// Truncate forgets what comes after the first n bytes.
func (p *Partial) Truncate(n int64) error {
	if err := p.f.Truncate(n); err != nil {
		return err
	}
	p.n = n
	return nil
}

// Reset forgets everything.
func (p *Partial) Reset() error { return p.Truncate(0) }

// Remove deletes the file, once nobody needs it any more.
func (p *Partial) Remove() error { return os.Remove(p.f.Name()) }

// Close leaves what there is to the next one.
func (p *Partial) Close() error { return p.f.Close() }

// prunePartials makes room for one more.
func (s *Store) prunePartials() error {
	all, err := names(s.path("partial"))
	if err != nil || len(all) < maxPartials {
		return err
	}
	return s.removePartials(time.Now())
}

// removePartials removes those that nobody has open and that have not grown
// since before.
func (s *Store) removePartials(before time.Time) error {
	all, err := names(s.path("partial"))
	if err != nil {
		return err
	}
	for _, name := range all {
		f, err := os.OpenFile(s.path("partial", name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		st, err := f.Stat()
		if err == nil && st.ModTime().Before(before) {
			if ok, e := tryFlock(f, unix.LOCK_EX); ok && e == nil {
				err = os.Remove(f.Name())
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
