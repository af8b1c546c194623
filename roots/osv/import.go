package osv

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"ninefold/internal/progress"
	"ninefold/internal/regular"
)

// Bounds of what is imported; osv.dev has some 60 000 records of Debian.
const (
	maxRecords  = 2_000_000
	maxUnpacked = 64 << 30 // bytes of all records
	maxProblems = 10
)

// ErrNothing says that there is no record of Debian in what was to be imported.
var ErrNothing = errors.New("no record says anything of Debian")

// ErrArchive says that what was to be imported is no archive, or a damaged one.
var ErrArchive = errors.New("it is neither a directory nor an archive that can be read")

// unreadable says that err is about what is in an archive, unless the file itself cannot be read.
func unreadable(err error) error {
	if failed := (*fs.PathError)(nil); err == nil || errors.As(err, &failed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrArchive, err)
}

// Imported is what an import did.
type Imported struct {
	Holes int `json:"holes"`
	// Others are records of other ecosystems, and withdrawn ones.
	Others int `json:"others"`
	// Left is how many records could not be read, Problems says why of the first.
	Left     int      `json:"left,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

// Import makes the database in file of all records in path, in place of what
// was there: a directory with .json files, a zip or tar archive of such (plain, gzip or
// zstd), or one .json. A record that cannot be read is left out and told. Sink is told
// how far it is (stage "osv").
func Import(ctx context.Context, path, file string, now time.Time, sink progress.Sink) (*Imported, error) {
	i := &importing{gathering: gathering{entries: map[string]entry{}}, sink: sink, done: &Imported{}}
	if err := i.path(ctx, path); err != nil {
		return nil, fmt.Errorf("import %s: %w", path, err)
	}
	i.done.Holes = len(i.entries)
	if i.done.Holes == 0 {
		return nil, fmt.Errorf("import %s: %w: %d records of something else, %d that could not be read", path, ErrNothing, i.done.Others, i.done.Left)
	}
	if err := i.write(file, now); err != nil {
		return nil, fmt.Errorf("write the database of holes: %w", err)
	}
	return i.done, nil
}

type importing struct {
	gathering
	sink     progress.Sink
	done     *Imported
	n        int
	unpacked int64
}

func (i *importing) path(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			return i.file(ctx, name, func() ([]byte, error) { return regular.Read(name, MaxRecord) })
		})
	}
	if !info.Mode().IsRegular() {
		return unreadable(regular.ErrNot)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	head, _ := r.Peek(4)
	switch {
	case bytes.Equal(head, []byte("PK\x03\x04")):
		return i.zip(ctx, f, info.Size())
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return unreadable(err)
		}
		return i.tar(ctx, z)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return unreadable(err)
		}
		defer z.Close()
		return i.tar(ctx, z)
	case strings.HasSuffix(path, ".json"):
		return i.file(ctx, path, func() ([]byte, error) { return regular.Read(path, MaxRecord) })
	}
	return i.tar(ctx, r)
}

func (i *importing) zip(ctx context.Context, f *os.File, size int64) error {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return unreadable(err)
	}
	for _, m := range z.File {
		err := i.file(ctx, m.Name, func() ([]byte, error) {
			r, err := m.Open()
			if err != nil {
				return nil, err
			}
			defer r.Close()
			return bounded(r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) tar(ctx context.Context, r io.Reader) error {
	// What is skipped is unpacked, too.
	t := tar.NewReader(io.LimitReader(r, maxUnpacked))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		var broken error
		err = i.file(ctx, h.Name, func() (b []byte, err error) {
			b, err = bounded(t)
			if !errors.Is(err, regular.ErrTooLarge) {
				broken = err
			}
			return b, err
		})
		if err = errors.Join(err, unreadable(broken)); err != nil {
			return err
		}
	}
}

func bounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxRecord+1))
	if err == nil && len(b) > MaxRecord {
		err = fmt.Errorf("%w: more than %d bytes", regular.ErrTooLarge, MaxRecord)
	}
	return b, err
}

// file takes one file of the source, if its name is that of a record.
func (i *importing) file(ctx context.Context, name string, read func() ([]byte, error)) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !strings.HasSuffix(name, ".json") {
		return nil
	}
	if i.n++; i.n > maxRecords {
		return fmt.Errorf("%w: more than %d records", ErrTooMuch, maxRecords)
	}
	if i.n%1000 == 0 {
		i.sink.Update(progress.Update{Stage: "osv", Item: filepath.Base(name), Done: int64(i.n), Unit: "records"})
	}
	b, err := read()
	if i.unpacked += int64(len(b)); i.unpacked > maxUnpacked {
		return fmt.Errorf("%w: more than %d bytes", ErrTooMuch, int64(maxUnpacked))
	}
	var h *Hole
	if err == nil {
		h, err = Parse(b)
	}
	switch {
	case err != nil:
		if i.done.Left++; len(i.done.Problems) < maxProblems {
			i.done.Problems = append(i.done.Problems, fmt.Sprintf("%q: %v", name, err))
		}
	case h == nil:
		i.done.Others++
	default:
		return i.add(h)
	}
	return nil
}
