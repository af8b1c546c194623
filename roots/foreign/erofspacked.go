package foreign

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/erofs/go-erofs"
	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/pkg"
)

// unpacker is the program that decompresses an erofs file: what a file holds, and nothing else of it, is taken
// from there.
var unpacker = tool{"fsck.erofs", "erofs-utils"}

// Where the superblock says what is compressed (Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h of Linux).
const (
	superblock  = 1024
	atCompat    = superblock + 8
	atIncompat  = superblock + 80
	atAlgorithm = superblock + 84
	superEnd    = superblock + 128

	// feature_compat: the checksum of the superblock, which is another one once bits are masked.
	hasChecksum = 0x1
	// feature_incompat: lz4 with padding, configurations of algorithms and big clusters, tails in the
	// metadata, and parts that files share.
	packedBits = 0x1 | 0x2 | 0x10 | 0x20
)

// algorithms are those of available_compr_algs, by bit.
var algorithms = []string{"lz4", "lzma", "deflate", "zstd"}

// packed says which compression an erofs file uses, "" for none.
func packed(f io.ReaderAt) (string, error) {
	b := make([]byte, superEnd)
	if _, err := f.ReadAt(b, 0); err != nil {
		return "", fmt.Errorf("%w: erofs: its superblock cannot be read: %w", ErrUnusable, err)
	}
	if binary.LittleEndian.Uint32(b[atIncompat:])&packedBits == 0 {
		return "", nil
	}
	var names []string
	bits := uint16(1) // without configurations this is lz4's distance
	if binary.LittleEndian.Uint32(b[atIncompat:])&0x2 != 0 {
		bits = binary.LittleEndian.Uint16(b[atAlgorithm:])
	}
	for i, name := range algorithms {
		if bits&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", "), nil
}

// unmasked shows an erofs file without what says that it is compressed, so that what it says about its files, which
// is never compressed, can be read.
type unmasked struct{ *os.File }

func (u unmasked) ReadAt(p []byte, off int64) (int, error) {
	n, err := u.File.ReadAt(p, off)
	for _, m := range []struct {
		at   int64
		keep [4]byte
	}{{atCompat, [4]byte{^byte(hasChecksum), 0xff, 0xff, 0xff}}, {atIncompat, [4]byte{^byte(packedBits), 0xff, 0xff, 0xff}}, {atAlgorithm, [4]byte{0, 0, 0xff, 0xff}}} {
		for i, keep := range m.keep {
			if at := m.at + int64(i) - off; at >= 0 && at < int64(n) {
				p[at] &= keep
			}
		}
	}
	return n, err
}

// unpacked gives what a compressed erofs file holds as a tar. Names, kinds, owners and attributes are read here; what the
// files hold, by a program as nobody in a session of its own, into a directory of which only that is read. What it may write is
// known before: room bytes at most. Closing the tar before its end ends the reading.
func (c *jailed) unpacked(ctx context.Context, how string, room int64) (io.ReadCloser, error) {
	largest, err := measure(ctx, unmasked{c.File}, room)
	if err != nil {
		return nil, err
	}
	out, err := os.MkdirTemp(c.dir, "out")
	if err != nil {
		return nil, err
	}
	if err := os.Chown(out, nobody, nobody); err != nil {
		return nil, err
	}
	if err := c.extract(ctx, how, out, largest); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(out)
	if err != nil {
		return nil, err
	}
	r := tarOfErofs(ctx, unmasked{c.File}, func(_ links, name string, size int64) (io.ReadCloser, error) {
		// Without waiting at what is no file, and by no link: the program may have left anything.
		f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil, fmt.Errorf("%s did not unpack it: %w", unpacker.program, err)
		}
		st, err := f.Stat()
		if err == nil && (!st.Mode().IsRegular() || st.Size() != size) {
			err = fmt.Errorf("%s made something else of it: %s of %d bytes, want %d", unpacker.program, st.Mode(), st.Size(), size)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	})
	return closing{r, root}, nil
}

// closing closes what is read from, too.
type closing struct {
	io.ReadCloser
	root *os.Root
}

func (c closing) Close() error { return errors.Join(c.ReadCloser.Close(), c.root.Close()) }

// measure reads what an erofs file says about its files, and returns the size of the largest. One of more than room
// bytes in all, each name counted, is refused, and one with a device, which nobody can make.
func measure(ctx context.Context, r io.ReaderAt, room int64) (largest int64, err error) {
	var total int64
	n := 0
	err = walkErofs(ctx, r, func(_ links, name string, st *erofs.Stat) error {
		if st.Mode&fs.ModeDevice != 0 {
			return fmt.Errorf("/%s is a device: a compressed file is unpacked by nobody, who can make none; leave it out, or do not compress", name)
		}
		if n++; st.Mode.IsRegular() {
			largest = max(largest, st.Size)
			total += min(st.Size, room+1)
		}
		if n > pkg.MaxEntries || total > room {
			return fmt.Errorf("it unpacks to more than %d bytes or %d files", room, pkg.MaxEntries)
		}
		return nil
	})
	return largest, err
}

// extract runs the program, and ends it when it takes the disk from others.
func (c *jailed) extract(ctx context.Context, how, out string, largest int64) error {
	said, err := os.CreateTemp(c.dir, "said")
	if err != nil {
		return err
	}
	defer said.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := watch(out, cancel)
	defer stop()
	p := c.plan(uint64(max(largest, maxSaid)), plan.Bind{Source: out, Target: "/out", Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true}})
	status, err := namespaces.Run(ctx, p, namespaces.Command{Argv: []string{unpacker.program, "--extract=/out", "--overwrite", "--no-preserve", "/file"}, Stdout: said, Stderr: said})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err == nil && status.Code != 0 {
		err = fmt.Errorf("%w: erofs, compressed with %s: %s ended with status %d%s", ErrUnusable, how, unpacker.program, status.Code, complaint(said))
	}
	return err
}

// watch ends what is under way when less than a tenth of what was free on dir's disk is left.
func watch(dir string, end context.CancelCauseFunc) (stop func()) {
	free := func() (uint64, uint64) {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			return 0, 0
		}
		return st.Bavail, st.Ffree
	}
	blocks, inodes := free()
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if b, i := free(); b < blocks/10 || i < inodes/10 {
				end(fmt.Errorf("%w: erofs: what it unpacks to leaves no room on the disk of %s", ErrUnusable, filepath.Dir(dir)))
				return
			}
		}
	}()
	return func() { close(done) }
}
