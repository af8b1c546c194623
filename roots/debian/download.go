package debian

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stall is how long a transfer may bring nothing before it is tried again.
const stall = 45 * time.Second

// fetchFile makes dest hold what is at address, if that has the size and hash
// that want says. What an earlier attempt left in dest.part is continued; two
// processes that want the same file take turns by a lock on it. dest appears
// whole or not at all. got is told of bytes as they arrive, and of negative
// ones when bytes turned out to be useless.
func fetchFile(ctx context.Context, address, dest string, want content, got func(int64)) error {
	part, err := lockPart(ctx, dest+".part")
	if err != nil {
		return err
	}
	defer part.Close()
	if st, err := os.Stat(dest); err == nil && st.Size() == want.size {
		os.Remove(part.Name())
		got(want.size)
		return nil
	}
	t := &transfer{address: address, want: want, part: part, got: got}
	if err := t.resume(); err != nil {
		return err
	}
	if err := retry(ctx, func() error { return t.attempt(ctx) }); err != nil {
		if t.have == 0 || errors.Is(err, syscall.ENOSPC) {
			// Nothing worth keeping, or no room to keep it.
			os.Remove(part.Name())
		}
		return err
	}
	if err := part.Sync(); err != nil {
		return fmt.Errorf("download %s: %w", address, err)
	}
	if err := os.Rename(part.Name(), dest); err != nil {
		return fmt.Errorf("download %s: %w", address, err)
	}
	return nil
}

// lockPart opens a partial file that is locked and still has its name.
func lockPart(ctx context.Context, name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("download: %w", err)
		}
		for {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			if !errors.Is(err, unix.EWOULDBLOCK) {
				break
			}
			select {
			case <-ctx.Done():
				f.Close()
				return nil, ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		mine, err1 := f.Stat()
		named, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(mine, named) {
			return f, nil
		}
		// Its last holder renamed or removed it: begin again with a new one.
		f.Close()
	}
}

// transfer is the way of one file from an address to a partial file.
type transfer struct {
	address string
	want    content
	part    *os.File
	got     func(int64)
	sum     hash.Hash
	have    int64
	resumed bool
}

// resume takes over what is in the partial file.
func (t *transfer) resume() error {
	t.sum = sha256.New()
	n, err := io.Copy(t.sum, t.part)
	if err != nil {
		return fmt.Errorf("read %s: %w", t.part.Name(), err)
	}
	t.have, t.resumed = n, n > 0
	t.got(n)
	if n > t.want.size {
		return t.restart()
	}
	return nil
}

func (t *transfer) restart() error {
	t.got(-t.have)
	t.sum.Reset()
	t.have, t.resumed = 0, false
	if err := t.part.Truncate(0); err != nil {
		return fmt.Errorf("download %s: %w", t.address, err)
	}
	if _, err := t.part.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("download %s: %w", t.address, err)
	}
	return nil
}

func (t *transfer) attempt(ctx context.Context) error {
	if t.have < t.want.size {
		if err := t.read(ctx); err != nil {
			return err
		}
	}
	if t.have < t.want.size {
		t.resumed = true
		return again{fmt.Errorf("%w: %s broke off after %d of %d bytes", ErrNetwork, t.address, t.have, t.want.size)}
	}
	var sum [sha256.Size]byte
	t.sum.Sum(sum[:0])
	if t.have == t.want.size && sum == t.want.sha256 {
		return nil
	}
	err := fmt.Errorf("%w: %s: have %d bytes with sha256 %x, want %d bytes with sha256 %s", ErrHash, t.address, t.have, sum, t.want.size, t.want.sha256)
	if t.resumed {
		// The pieces may come from different files: the whole deserves a try.
		err = again{err}
	}
	if e := t.restart(); e != nil {
		return e
	}
	return err
}

func (t *transfer) read(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := again{fmt.Errorf("%w: %s brought nothing for %v", ErrNetwork, t.address, stall)}
	timer := time.AfterFunc(stall, func() { cancel(stalled) })
	defer timer.Stop()
	body, at, err := open(ctx, t.address, t.have)
	if err != nil {
		return cause(ctx, err)
	}
	defer body.Close()
	if at != t.have {
		if err := t.restart(); err != nil {
			return err
		}
	}
	buf := make([]byte, 128<<10)
	for {
		n, err := body.Read(buf)
		timer.Reset(stall)
		t.have += int64(n)
		if t.have > t.want.size {
			return nil // too long; attempt says so
		}
		t.sum.Write(buf[:n])
		if _, err := t.part.Write(buf[:n]); err != nil {
			return fmt.Errorf("download %s: %w", t.address, err)
		}
		t.got(int64(n))
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return cause(ctx, again{fmt.Errorf("%w: %s: %w", ErrNetwork, t.address, err)})
		}
	}
}

// cause prefers the reason why a context ended to what that broke.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
