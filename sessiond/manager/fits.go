package manager

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/progress"
	"ninefold/internal/regular"
	"ninefold/roots/compat"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// fits says whether the runtime's own packages can lie over the base. It
// returns a decision of kind "merge", or one that says what is in the way.
func (d *decider) fits(ctx context.Context, out *stack, solved bool) (Decision, error) {
	name := "the host"
	if len(d.base) > 0 {
		name = d.base[len(d.base)-1].Name
	} else {
		out.Stamp = compat.Stamp(d.m.host.root)
	}
	if solved && len(d.base) == 0 {
		if print, err := compat.Fingerprint(d.m.host.root); err == nil && print == d.run[0].Host {
			return Decision{Kind: "merge", Reason: "the host has the very packages that the runtime was solved against"}, nil
		}
	}
	chain := d.run
	if !solved && len(chain) > 1 {
		chain = chain[1:]
	}
	built, err := d.store.Built(ctx, chain)
	if err != nil {
		return Decision{}, err
	}
	base, same, err := d.target(ctx)
	if err != nil {
		return Decision{}, err
	}
	own, err := d.own(ctx, built)
	if err != nil {
		return Decision{}, err
	}
	missing, err := compat.Check(own, base)
	if err != nil {
		return Decision{}, err
	}
	if missing, err = d.broken(ctx, own, missing, solved); err != nil {
		return Decision{}, err
	}
	if len(missing) > 0 {
		return Decision{Reason: fmt.Sprintf("%s lacks %d of the things that the runtime needs", name, len(missing)), Missing: missing}, nil
	}
	hidden, err := hiddenBy(built, base, same)
	if err != nil {
		return Decision{}, err
	}
	if len(hidden) > 0 {
		return Decision{Reason: fmt.Sprintf("the runtime's own caches would hide %d of %s", len(hidden), name), Hidden: hidden}, nil
	}
	return Decision{Kind: "merge", Reason: name + " has every library, symbol version and interpreter that the runtime needs"}, nil
}

// broken takes out of missing what the runtime lacks on its own base as well:
// plugins for programs that are not installed, which nobody can start anyway.
func (d *decider) broken(ctx context.Context, own []compat.Own, missing []compat.Missing, solved bool) ([]compat.Missing, error) {
	if len(missing) == 0 || solved || len(d.run) < 2 {
		return missing, nil
	}
	built, err := d.store.Built(ctx, d.run[:1])
	if err != nil {
		return nil, err
	}
	tree, err := image.Flatten(built)
	if err != nil {
		return nil, err
	}
	native, err := compat.NewTree(tree.Entries, d.store)
	if err != nil {
		return nil, err
	}
	there, err := compat.Check(own, native)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(missing, func(m compat.Missing) bool {
		return slices.ContainsFunc(there, func(t compat.Missing) bool {
			return t.Library == m.Library && t.Version == m.Version && t.Interpreter == m.Interpreter
		})
	}), nil
}

// target is the base to look in, and a way to compare a file of it.
func (d *decider) target(ctx context.Context) (compat.Base, func(e *pkg.Entry) (bool, error), error) {
	if len(d.base) == 0 {
		h, err := compat.NewHost(d.m.host.root)
		return h, d.m.host.same, err
	}
	built, err := d.store.Built(ctx, d.base)
	if err != nil {
		return nil, nil, err
	}
	tree, err := image.Flatten(built)
	if err != nil {
		return nil, nil, err
	}
	base, err := compat.NewTree(tree.Entries, d.store)
	return base, func(e *pkg.Entry) (bool, error) {
		have, _, ok := tree.Lookup(e.Path)
		return ok && have.Kind == e.Kind && have.Digest == e.Digest && have.Target == e.Target, nil
	}, err
}

// own collects the facts of the packages, from their records where they were
// read before.
func (d *decider) own(ctx context.Context, built []image.Built) ([]compat.Own, error) {
	var own []compat.Own
	var packages []*pkg.Package
	for _, b := range built {
		packages = append(packages, b.Packages...)
		if b.Finishing != nil {
			packages = append(packages, b.Finishing)
		}
	}
	for i, p := range packages {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d.m.sink.Update(progress.Update{Stage: "compare", Item: p.Name, Done: int64(i), Total: int64(len(packages)), Unit: "packages"})
		f, err := d.packageFacts(p)
		if err != nil {
			return nil, err
		}
		own = append(own, compat.Own{Package: p, Facts: f})
	}
	d.m.sink.Update(progress.Update{Stage: "compare", Done: int64(len(packages)), Total: int64(len(packages)), Unit: "packages", End: true})
	return own, nil
}

func (d *decider) packageFacts(p *pkg.Package) (*compat.Facts, error) {
	id, err := p.ID()
	if err != nil {
		return nil, err
	}
	name := d.m.derived("packages", id.String())
	if b, err := regular.Read(name, maxRecord); err == nil {
		if f, err := compat.DecodeFacts(b); err == nil {
			return f, nil
		}
	}
	f, err := compat.FactsOf(p, d.store)
	if err != nil {
		return nil, err
	}
	if b, err := f.Encode(); err == nil {
		_ = writeRecord(name, b) // kept to save time alone
	}
	return f, nil
}

// projected are files that finishing steps make and that a session gets from
// the machine, or bookkeeping that nothing reads at run time.
func projected(name string) bool {
	switch strings.TrimSuffix(name, "-") {
	case "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid", "etc/machine-id", "etc/hostname",
		"etc/ld.so.cache", "etc/shells", "etc/mtab":
		return true
	}
	for _, dir := range []string{"var/lib/dpkg/", "var/cache/", "var/log/"} {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return false
}

// hiddenBy lists files of the base that the finishing packages have too, with
// other content. These are caches over everything that is installed: the
// runtime's knows nothing of the base's own.
func hiddenBy(built []image.Built, base compat.Base, same func(*pkg.Entry) (bool, error)) ([]string, error) {
	var out []string
	for _, b := range built {
		if b.Finishing == nil {
			continue
		}
		for i := range b.Finishing.Entries {
			e := &b.Finishing.Entries[i]
			if e.Kind == pkg.Dir || projected(e.Path) {
				continue
			}
			there, err := base.Exists(e.Path)
			if err != nil {
				return nil, err
			}
			if !there {
				continue
			}
			equal, err := same(e)
			if err != nil {
				return nil, err
			}
			if !equal {
				out = append(out, e.Path)
			}
		}
	}
	return out, nil
}

// same reports whether the host has e with the same content.
func (m machine) same(e *pkg.Entry) (bool, error) {
	name := m.at(e.Path)
	st, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if e.Kind == pkg.Symlink {
		text, err := os.Readlink(name)
		return err == nil && text == e.Target, nil
	}
	if e.Kind != pkg.File || !st.Mode().IsRegular() || st.Size() != e.Size {
		return false, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, e.Size+1)); err != nil {
		return false, err
	}
	return pkg.Digest(h.Sum(nil)) == e.Digest, nil
}
