package debian

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/ulikunitz/xz"

	"ninefold/internal/progress"
	"ninefold/internal/regular"
	"ninefold/internal/replace"
	"ninefold/roots/lock"
)

const (
	maxRelease = 16 << 20
	maxIndex   = 1 << 30
)

// repository is one archive whose word was verified.
type repository struct {
	archive
	release *Release
	// indices are the texts of its components' package indices.
	indices []string
}

// source is what a lock says about r.
func (r *repository) source() lock.Source {
	return lock.Source{Mirror: r.mirror, Suite: r.suite, Components: r.components, SignedBy: r.release.SignedBy, Date: r.release.Date.Unix()}
}

// openArchive fetches and verifies an archive's InRelease and indices. Indices
// are kept in cache under their hash, so that an archive that did not change
// costs one small request.
func openArchive(ctx context.Context, a archive, arch, cache string, now time.Time, meter *meter) (*repository, error) {
	base := a.mirror + "/dists/" + a.suite + "/"
	keys, err := a.load()
	if err != nil {
		return nil, err
	}
	file, err := a.inRelease(ctx, base, cache)
	if err != nil {
		return nil, fmt.Errorf("suite %s: %w", a.suite, err)
	}
	release, err := VerifyRelease(file, a.suite, keys, now, a.allowExpired || a.offline)
	if err != nil {
		return nil, fmt.Errorf("%sInRelease: %w", base, err)
	}
	if !a.offline {
		_ = replace.File(keptRelease(base, cache), file, 0o600) // it may fail: it is for later questions
	}
	r := &repository{archive: a, release: release}
	for _, component := range a.components {
		name, packed, plain, ok := release.index(component, arch)
		if !ok {
			return nil, fmt.Errorf("%w: suite %s at %s has no component %s for %s", ErrGone, a.suite, a.mirror, component, arch)
		}
		var text string
		if a.offline {
			if text, err = readIndex(filepath.Join(cache, plain.sha256.String()), plain); errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w: %s", ErrNotKept, name)
			}
		} else {
			text, err = fetchIndex(ctx, base, name, release.ByHash, packed, plain, cache, meter)
		}
		if err != nil {
			return nil, fmt.Errorf("package index of %s: %w", a.suite, err)
		}
		r.indices = append(r.indices, text)
	}
	return r, nil
}

// inRelease returns the archive's word about itself, or what was kept of it.
func (a archive) inRelease(ctx context.Context, base, cache string) ([]byte, error) {
	if !a.offline {
		return fetchSmall(ctx, base+"InRelease", maxRelease)
	}
	b, err := regular.Read(keptRelease(base, cache), maxRelease)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %s", ErrNotKept, a.mirror)
	}
	return b, err
}

// keptRelease is where the InRelease of the suite at base is kept.
func keptRelease(base, cache string) string {
	return filepath.Join(cache, fmt.Sprintf("%x.release", sha256.Sum256([]byte(base))))
}

func fetchIndex(ctx context.Context, base, name string, byHash bool, packed, plain content, cache string, meter *meter) (string, error) {
	if plain.size > maxIndex || packed.size > maxIndex {
		return "", fmt.Errorf("%w: %s is larger than %d bytes", ErrHash, name, maxIndex)
	}
	kept := filepath.Join(cache, plain.sha256.String())
	if text, err := readIndex(kept, plain); err == nil {
		now := time.Now()
		_ = os.Chtimes(kept, now, now) // sweep looks at it; it may fail
		return text, nil
	}
	address := base + escape(name)
	if byHash {
		// The file under its hash stays for a while when the archive moves on,
		// so an update of the mirror in this very second does no harm.
		address = base + escape(path.Dir(name)) + "/by-hash/SHA256/" + packed.sha256.String()
	}
	meter.add(packed.size)
	tmp := filepath.Join(cache, packed.sha256.String()+".packed")
	if err := fetchFile(ctx, address, tmp, packed, meter.got); err != nil {
		return "", err
	}
	defer os.Remove(tmp)
	if err := unpackIndex(tmp, path.Ext(name), kept, plain); err != nil {
		return "", err
	}
	return readIndex(kept, plain)
}

// readIndex returns the text of a kept index if it still has its hash.
func readIndex(kept string, plain content) (string, error) {
	data, err := regular.Read(kept, plain.size)
	if err != nil {
		return "", err
	}
	if int64(len(data)) != plain.size || sha256.Sum256(data) != plain.sha256 {
		return "", fmt.Errorf("%w: %s", ErrHash, kept)
	}
	return string(data), nil
}

// unpackIndex writes the unpacked file aside and moves it to dest. Whoever
// reads it checks the hash, so it need not be on disk before it has its name.
func unpackIndex(packed, ext, dest string, plain content) (err error) {
	in, err := os.Open(packed)
	if err != nil {
		return err
	}
	defer in.Close()
	var r io.Reader = in
	switch ext {
	case ".gz":
		r, err = gzip.NewReader(in)
	case ".xz":
		r, err = xz.NewReader(in)
	}
	if err != nil {
		return fmt.Errorf("%w: unpack %s: %w", ErrHash, packed, err)
	}
	out, err := os.CreateTemp(filepath.Dir(dest), "index-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if _, err := io.Copy(out, io.LimitReader(r, plain.size+1)); err != nil {
		return fmt.Errorf("unpack package index: %w", err)
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), dest)
}

// openArchives opens all archives at once. The first has to be there; further
// ones that were only concluded are left out when the mirror has none such.
func openArchives(ctx context.Context, list []archive, arch, cache string, now time.Time, sink progress.Sink) ([]*repository, error) {
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, fmt.Errorf("make the cache of package indices: %w", err)
	}
	meter := newMeter(sink, "index", "")
	defer meter.end()
	type result struct {
		repo *repository
		err  error
	}
	results := make([]result, len(list))
	done := make(chan int)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, a := range list {
		go func() {
			results[i].repo, results[i].err = openArchive(ctx, a, arch, cache, now, meter)
			done <- i
		}()
	}
	var first error
	for range list {
		i := <-done
		if err := results[i].err; err != nil && first == nil && !(list[i].derived && errors.Is(err, ErrGone)) {
			first = err
			cancel()
		}
	}
	if first != nil {
		return nil, first
	}
	var out []*repository
	for _, r := range results {
		if r.err == nil {
			out = append(out, r.repo)
		}
	}
	return out, nil
}

// escape makes the path of an archive's file part of a URL: versions hold
// "~" and "+", which stay, and "%" or "#" would not.
func escape(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
