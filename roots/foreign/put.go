package foreign

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/roots/deb"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/registry"
	"ninefold/roots/store"
)

// ErrUnusable: what was to be imported holds what no image may hold, or is damaged.
var ErrUnusable = errors.New("it cannot be an image here")

// Options are those of an import.
type Options struct {
	// Reference is what the image is to be called; "" is what it is called where it lies.
	Reference string
	// Layer is the one layer that is wanted, counted from 1; 0 is all of them.
	Layer int
	// InitDir tells which directory holds ninefold-init; it is asked for the session that
	// reads a squashfs file.
	InitDir func() (string, error)
	// Accept gives an image, which is in the store, its name there, or refuses it.
	Accept func(ctx context.Context, reference string, id image.ID) error
}

// Result is what came of an import.
type Result struct {
	ID        image.ID
	Reference string
	Notes     deb.Notes
}

// reader makes a package, and puts the content of its files into the store.
type reader func(as deb.Identity, with deb.Options) (*pkg.Package, *deb.Notes, error)

// put makes an image of the package that read makes. from is where that lies, for
// people.
func put(ctx context.Context, s *store.Store, as deb.Identity, environment map[string]string, from string, o Options, read reader) (*Result, error) {
	r := &Result{Reference: o.Reference}
	if r.Reference == "" {
		return nil, fmt.Errorf("%s: %w", from, registry.ErrNameless)
	}
	ref, err := image.ParseReference(r.Reference)
	if err != nil || !ref.Digest.IsZero() {
		return nil, fmt.Errorf("%s: %w: %q cannot name an image here", from, registry.ErrNameless, r.Reference)
	}
	as.Name = ref.Name[strings.LastIndexByte(ref.Name, '/')+1:]
	// Few lock files serve all; who imports the same waits.
	sum := sha256.Sum256([]byte(as.Version))
	release, err := s.Build(ctx, fmt.Sprintf("import-%x", sum[:1]))
	if err != nil {
		return nil, err
	}
	defer release()
	p, notes, err := read(as, deb.Options{AsIs: true, MaxContent: room(s)})
	if errors.Is(err, deb.ErrMalformed) || errors.Is(err, deb.ErrChecksum) {
		err = fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if err != nil {
		return nil, err
	}
	r.Notes = *notes
	id, err := s.PutPackage(p)
	if err != nil {
		return nil, err
	}
	m := &image.Manifest{Version: image.Version, Name: as.Name, Environment: environment,
		Packages: []image.Ref{{Name: p.Name, Version: p.Version, Digest: id}}}
	there := s.HasImage(m.ID())
	if r.ID, err = s.PutPulled(m, store.Origin{From: from, References: []string{r.Reference}}); err != nil {
		return nil, err
	}
	if err := o.Accept(ctx, r.Reference, r.ID); err != nil {
		if !there {
			err = errors.Join(err, s.Withdraw(r.ID))
		}
		return nil, err
	}
	return r, nil
}

// room is what may be unpacked: nine tenths of what is free, so that a bomb leaves
// others some. An unpacked tar needs a little less on disk than its size.
func room(s *store.Store) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(s.Dir(), &st); err != nil {
		return 0
	}
	return max(int64(st.Bavail)*st.Bsize/10*9, 1)
}

// Names that a session sets itself, whatever the image says.
var own = []string{"HOME", "USER", "LOGNAME", "SHELL", "TERM", "HOSTNAME", "PWD", "OLDPWD", "XDG_RUNTIME_DIR"}

// standard are the directories of a search path that every session has.
var standard = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// environment is what the image fixes of what a container's configuration sets:
// what can be fixed, without what a session sets itself.
func environment(list []string) map[string]string {
	env := map[string]string{}
	for _, text := range list {
		k, v, ok := strings.Cut(text, "=")
		if !ok || slices.Contains(own, k) || strings.HasPrefix(k, "NINEFOLD_") {
			continue
		}
		if k == "PATH" && !slices.ContainsFunc(strings.Split(v, ":"), func(dir string) bool { return !slices.Contains(standard, dir) }) {
			continue
		}
		one := &image.Manifest{Version: image.Version, Name: "x", Environment: map[string]string{k: v}}
		if one.Validate() == nil {
			env[k] = v
		}
	}
	return env
}
