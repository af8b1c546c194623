// Package deb turns Debian packages, directories and tarballs into plain
// packages (package pkg): files with modes, owners, attributes and hard links,
// with a merged /usr, and what maintainer scripts would have declared as data.
// Nothing of the input is ever executed, and no path of it is ever used on the
// file system: content goes to an object store, everything else into entries.
package deb

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"ninefold/roots/pkg"
	"ninefold/roots/recipe"
)

// ConverterVersion changes whenever the same input may give another package.
const ConverterVersion = 1

// ErrMalformed is wrapped by errors about input that is damaged, truncated, or
// holds what a package must not hold. The error names the package and the path.
var ErrMalformed = errors.New("malformed package")

// ErrUndeclared is wrapped by errors about maintainer scripts that declare
// state in a form that cannot be read.
var ErrUndeclared = errors.New("undeclared state")

// Objects takes the content of files. Put reads r to its end and returns the
// sha256 and the number of bytes; it must be safe for concurrent use if
// conversions run in parallel. An error of r comes back wrapped from Put.
type Objects interface {
	Put(ctx context.Context, r io.Reader) (pkg.Digest, int64, error)
}

// Options say how to convert. The zero value is right for a Debian package.
type Options struct {
	// Exclude leaves files out.
	Exclude recipe.Exclude
	// MaxMTime clamps modification times, in seconds since the epoch (the rule
	// of SOURCE_DATE_EPOCH); 0 leaves them.
	MaxMTime int64
	// Devices allows device nodes, which packages do not hold.
	Devices bool
	// AsIs leaves paths and links of whole trees as they are written, where
	// otherwise they move into a merged /usr, and declares nothing.
	AsIs bool
	// MaxContent bounds what the layers of FromLayers unpack to, in bytes; 0 leaves
	// the bound of one package.
	MaxContent int64
	// Accept names packages whose unreadable declarations are left out instead
	// of being an error.
	Accept []string
	// GoXZ decodes xz with the Go decoder even where the faster xz program is
	// installed.
	GoXZ bool
	// Control, if set, is called with the package's control paragraph
	// (deb-control(5)); it does not decide the result.
	Control func(paragraph []byte)
}

// CacheKey names the result of converting the .deb with the given sha256 and
// package name: equal keys give equal packages.
func (o Options) CacheKey(sum pkg.Digest, name string) string {
	h := sha256.New()
	fmt.Fprintf(h, "deb %d %s docs=%t locales=%t mtime=%d devices=%t accept=%t", ConverterVersion, sum,
		o.Exclude.Docs, o.Exclude.Locales, o.MaxMTime, o.Devices, slices.Contains(o.Accept, name))
	for _, p := range slices.Sorted(slices.Values(o.Exclude.Paths)) {
		fmt.Fprintf(h, " %q", p)
	}
	return pkg.Digest(h.Sum(nil)).String()
}

// Limits of one package, far above what distributions ship.
const (
	maxContent = 64 << 30 // bytes of all files
	maxControl = 16 << 20 // bytes of the unpacked control archive
)

// Convert reads one .deb (deb(5), format 2.0) from f. Files of its data
// archive go into the store as they come. If f can seek, it must stand at its
// start.
//
// Declared capabilities of the package's own files become their
// security.capability attribute, and changes of owner and mode that need only
// the fixed ids of base-passwd are made to the entries; the rest stays declared.
//
// Errors wrap ErrMalformed or ErrUndeclared, or come from f, into or ctx.
func Convert(ctx context.Context, f io.Reader, into Objects, o Options) (*pkg.Package, error) {
	p, err := convert(ctx, f, into, o, false)
	if errors.Is(err, errLinkToExcluded) {
		if s, ok := f.(io.Seeker); ok {
			if _, err := s.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
			return convert(ctx, f, into, o, true)
		}
	}
	return p, err
}

func convert(ctx context.Context, f io.Reader, into Objects, o Options, keepExcluded bool) (*pkg.Package, error) {
	var c *control
	fail := func(err error) error {
		if c == nil {
			return fmt.Errorf("converting a .deb: %w", err)
		}
		return fmt.Errorf("package %s %s: %w", c.name, c.version, err)
	}
	a, err := newArchive(f)
	if err != nil {
		return nil, fail(err)
	}
	if err := readVersion(a); err != nil {
		return nil, fail(err)
	}
	im, err := newImporter(ctx, into, o)
	if err != nil {
		return nil, fail(err)
	}
	im.keepExcluded = keepExcluded
	done := false
	for {
		m, err := a.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fail(err)
		}
		switch {
		case strings.HasPrefix(m.name, "_"): // deb(5): to be ignored
		case c == nil && strings.HasPrefix(m.name, "control.tar"):
			if c, err = readControl(ctx, m.name, a, o); err != nil {
				c = nil
				return nil, fail(err)
			}
		case c != nil && !done && strings.HasPrefix(m.name, "data.tar"):
			if err := unpack(ctx, m.name, "data.tar", a, maxContent, o, im.tar); err != nil {
				return nil, fail(err)
			}
			done = true
		default:
			return nil, fail(malformed("unexpected member %q", m.name))
		}
	}
	if !done {
		return nil, fail(malformed("it has no data.tar member"))
	}
	p, err := im.finish(c)
	if err != nil {
		return nil, fail(err)
	}
	return p, nil
}

func malformed(format string, a ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, a...))
}

func readVersion(a *archive) error {
	m, err := a.next()
	if err == io.EOF {
		return malformed("the archive is empty")
	}
	if err != nil {
		return err
	}
	if m.name != "debian-binary" || m.size > 100 {
		return malformed("the first member is %q with %d bytes, not debian-binary", m.name, m.size)
	}
	b, err := io.ReadAll(a)
	if err != nil {
		return err
	}
	if line, _, _ := strings.Cut(string(b), "\n"); !strings.HasPrefix(line, "2.") {
		return malformed("format version %q is not 2.x", line)
	}
	return nil
}
