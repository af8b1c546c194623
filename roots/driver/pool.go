package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
)

// maxEqual bounds how many equal files of one tree have a pool file each.
const maxEqual = 1 << 20

// poolKey names a pool file: its shard, the digest of the content and a hash of
// what else hard links share. The store's Verify and GC go by this form.
func poolKey(e *pkg.Entry) string {
	h := sha256.New()
	fmt.Fprintf(h, "%o %d %d %d\n", e.Mode, e.UID, e.GID, e.MTime)
	for _, x := range e.Xattrs {
		fmt.Fprintf(h, "%d %s %d %s\n", len(x.Name), x.Name, len(x.Value), x.Value)
	}
	d := e.Digest.String()
	return d[:2] + "/" + d + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// file makes e.Path a link to the pool file that the tree's n-th file of this
// kind gets, and makes that pool file if need be. An empty file needs none, and
// neither does a tree of copies.
func (p *planter) file(e *pkg.Entry) error {
	if e.Size == 0 || p.pool == nil {
		return p.make(e)
	}
	key := poolKey(e)
	for n := p.next[key]; n < maxEqual; n++ {
		p.next[key] = n + 1
		name := fmt.Sprintf("%s.%d", key, n)
		err := unix.Linkat(int(p.pool.Fd()), name, int(p.root.Fd()), e.Path, 0)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EMLINK):
			continue // as many links as the file system allows: use another one
		case !errors.Is(err, unix.ENOENT):
			return err
		}
		// Made in the tree first: there a collection cannot take it for unused.
		if err := p.make(e); err != nil {
			return err
		}
		if err := unix.Mkdirat(int(p.pool.Fd()), name[:2], 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		err = unix.Linkat(int(p.root.Fd()), e.Path, int(p.pool.Fd()), name, 0)
		if errors.Is(err, unix.EEXIST) {
			return nil // another process pools its own; this one serves this tree alone
		}
		return err
	}
	return fmt.Errorf("more than %d equal files", maxEqual)
}

// make copies the content of e to a new file at e.Path; file systems that can
// share blocks do (copy_file_range(2)).
func (p *planter) make(e *pkg.Entry) error {
	fd, err := unix.Openat(int(p.root.Fd()), e.Path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), e.Path)
	if e.Size > 0 {
		if err := p.fill(f, e); err != nil {
			f.Close()
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return p.dress(e)
}

func (p *planter) fill(f *os.File, e *pkg.Entry) error {
	from, err := p.store.Object(e.Digest)
	if err != nil {
		return err
	}
	defer from.Close()
	n, err := io.Copy(f, from)
	if err == nil && n != e.Size {
		err = fmt.Errorf("object %s has %d bytes, want %d", e.Digest.Short(), n, e.Size)
	}
	return err
}
