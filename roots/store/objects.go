package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
)

// objectMode: content is never changed, and only root reads it by this name.
// Modes and owners that people see lie in the packages.
const objectMode = 0o400

// smallSize is up to where content is held in memory, so that what is already
// there is never written.
const smallSize = 256 << 10

var buffers = sync.Pool{New: func() any { return new([smallSize + 1]byte) }}

// ObjectPath is the name of an object below ObjectsDir: "ab/cdef...".
func ObjectPath(d pkg.Digest) string {
	h := d.String()
	return h[:2] + "/" + h[2:]
}

// Put stores what r yields and returns its digest and length. Content that is
// there already is not written again. The object is durable after the next Sync.
// Call it between Build and its release, or a collection may take the object before a package refers to it.
func (s *Store) Put(ctx context.Context, r io.Reader) (pkg.Digest, int64, error) {
	if err := s.beginWrite(ctx); err != nil {
		return pkg.Digest{}, 0, s.explain(err)
	}
	defer s.ended.Add(1)
	buf := buffers.Get().(*[smallSize + 1]byte)
	defer buffers.Put(buf)
	n, err := io.ReadFull(r, buf[:])
	if err == nil {
		d, n, err := s.putLarge(ctx, buf[:], r)
		if read, ok := errors.AsType[readError](err); ok {
			return pkg.Digest{}, 0, read.error
		}
		return d, n, s.explain(err)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return pkg.Digest{}, 0, err
	}
	content := buf[:n]
	d := pkg.Digest(sha256.Sum256(content))
	return d, int64(n), s.explain(s.putBytes(ctx, d, content))
}

func (s *Store) putBytes(ctx context.Context, d pkg.Digest, content []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.hasSize(d, int64(len(content))) {
		return nil
	}
	return s.create(d, int64(len(content)), func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}

// readError marks an error of the caller's reader, which is passed on as it is.
type readError struct{ error }

// putLarge streams content, of which head has been read, to a nameless file
// and names it when the digest is known.
func (s *Store) putLarge(ctx context.Context, head []byte, r io.Reader) (pkg.Digest, int64, error) {
	f, named, err := s.nameless()
	if err != nil {
		return pkg.Digest{}, 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := copyHashed(ctx, f, h, io.MultiReader(bytes.NewReader(head), r))
	d := pkg.Digest(h.Sum(nil))
	if err == nil && !s.hasSize(d, n) {
		if err = s.name(f, named, d, n); err == nil {
			return d, n, nil
		}
	}
	if named {
		os.Remove(f.Name())
	}
	return d, n, err
}

func copyHashed(ctx context.Context, w io.Writer, h hash.Hash, r io.Reader) (int64, error) {
	buf := make([]byte, 1<<20)
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		k, err := r.Read(buf)
		if k > 0 {
			h.Write(buf[:k])
			if _, err := w.Write(buf[:k]); err != nil {
				return n, err
			}
			n += int64(k)
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, readError{err}
		}
	}
}

// create makes the object d with what fill writes.
func (s *Store) create(d pkg.Digest, size int64, fill func(*os.File) error) error {
	f, named, err := s.nameless()
	if err != nil {
		return err
	}
	defer f.Close()
	if err = fill(f); err == nil {
		err = s.name(f, named, d, size)
	}
	if err != nil && named {
		os.Remove(f.Name())
	}
	return err
}

// nameless opens a file without a name (O_TMPFILE, open(2)), which vanishes
// with the process, or a named one in tmp where the file system has no such
// thing.
func (s *Store) nameless() (f *os.File, named bool, err error) {
	if !s.noTmpfile.Load() {
		fd, err := unix.Openat(int(s.objects.Fd()), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, objectMode)
		if err == nil {
			return os.NewFile(uintptr(fd), "object"), false, nil
		}
		if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.ENOENT) {
			return nil, false, fmt.Errorf("make an object: %w", err)
		}
		s.noTmpfile.Store(true)
	}
	if f, err = s.tempFile(); err != nil {
		return nil, false, err
	}
	return f, true, f.Chmod(objectMode)
}

// name gives f its name as object d. When another process was faster its
// object stays, unless it has not the right size: then it is damaged, and is
// replaced.
func (s *Store) name(f *os.File, named bool, d pkg.Digest, size int64) error {
	from, flags := "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.AT_SYMLINK_FOLLOW
	if named {
		from, flags = f.Name(), 0
	}
	err := unix.Linkat(unix.AT_FDCWD, from, int(s.objects.Fd()), ObjectPath(d), flags)
	if errors.Is(err, unix.EEXIST) && !s.hasSize(d, size) {
		temp := s.path("tmp", "f."+randomName())
		if err = unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, temp, flags); err == nil {
			err = unix.Renameat(unix.AT_FDCWD, temp, int(s.objects.Fd()), ObjectPath(d))
		}
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("name object %s: %w", d.Short(), err)
	}
	if named {
		return os.Remove(f.Name())
	}
	return nil
}

// Object opens the content named d for reading. The caller closes it.
func (s *Store) Object(d pkg.Digest) (*os.File, error) {
	fd, err := unix.Openat(int(s.objects.Fd()), ObjectPath(d), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("object %s: %w", d.Short(), ErrNotFound)
	}
	if err != nil {
		return nil, s.explain(fmt.Errorf("object %s: %w", d.Short(), err))
	}
	return os.NewFile(uintptr(fd), d.String()), nil
}

// Content reads a small file of a package whole.
func (s *Store) Content(e *pkg.Entry, limit int64) ([]byte, error) {
	if e.Size > limit {
		return nil, fmt.Errorf("/%s: it has %d bytes, at most %d are read", e.Path, e.Size, limit)
	}
	f, err := s.Object(e.Digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// Has reports whether the content named d is there.
func (s *Store) Has(d pkg.Digest) bool {
	var st unix.Stat_t
	return unix.Fstatat(int(s.objects.Fd()), ObjectPath(d), &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

func (s *Store) hasSize(d pkg.Digest, size int64) bool {
	var st unix.Stat_t
	err := unix.Fstatat(int(s.objects.Fd()), ObjectPath(d), &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == size
}
