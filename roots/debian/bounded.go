package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// FetchChecked makes dest hold what is at address: at most limit bytes, which check, given the file and its
// size, has nothing against. It is for what is known by another hash than FetchFile's, or whose size nobody says: an attempt that
// breaks off begins again. dest appears whole or not at all, and is not looked at when it is there.
func FetchChecked(ctx context.Context, address, dest string, limit int64, check func(f io.ReaderAt, size int64) error) error {
	part, err := lockPart(ctx, dest+".part")
	if err != nil {
		return err
	}
	defer part.Close()
	if _, err := os.Stat(dest); err == nil {
		return os.Remove(part.Name())
	}
	err = retry(ctx, func() error {
		size, err := fetchInto(ctx, address, part, limit)
		if err == nil {
			err = check(part, size)
		}
		return err
	})
	if err == nil {
		err = part.Sync()
	}
	if err == nil {
		err = os.Rename(part.Name(), dest)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("download %s: %w", address, err), os.Remove(part.Name()))
	}
	return nil
}

// fetchInto writes what is at address over a file.
func fetchInto(ctx context.Context, address string, to *os.File, limit int64) (int64, error) {
	if err := to.Truncate(0); err != nil {
		return 0, err
	}
	if _, err := to.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(stall, func() { cancel(again{fmt.Errorf("%w: it brought nothing for %v", ErrNetwork, stall)}) })
	defer timer.Stop()
	body, _, err := open(ctx, address, 0)
	if err != nil {
		return 0, cause(ctx, err)
	}
	defer body.Close()
	buf := make([]byte, 128<<10)
	var size int64
	for {
		n, err := body.Read(buf)
		timer.Reset(stall)
		if size += int64(n); size > limit {
			return size, fmt.Errorf("%w: it is larger than %d bytes", ErrHash, limit)
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return size, err
		}
		switch {
		case err == io.EOF:
			return size, nil
		case err != nil:
			return size, cause(ctx, again{fmt.Errorf("%w: %w", ErrNetwork, err)})
		}
	}
}
