package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ninefold/roots/deb"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// importSource makes the package of a recipe whose source is a directory or a
// tarball. A tarball is known by its sha256; a directory is read every time,
// because nothing else says whether it changed.
func (j *job) importSource(ctx context.Context) error {
	src := j.recipe.Source
	options := deb.Options{Exclude: j.recipe.Exclude}
	as := deb.Identity{Name: j.recipe.Name, Version: "0", Arch: j.lock.Arch}
	switch {
	case src.Directory != "":
		p, err := deb.FromDirectory(ctx, src.Directory, as, j.Store, options)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSource, err)
		}
		return j.imports(p)
	case src.Tarball != "":
		sum, err := pkg.ParseDigest(src.SHA256)
		if err != nil {
			return fmt.Errorf("%w: tarball %s: %w", ErrSource, src.Tarball, err)
		}
		key := "tar " + as.Name + " " + as.Arch + " " + options.CacheKey(sum, as.Name)
		if id, ok := j.Store.Converted(key); ok {
			j.imported = append(j.imported, image.Ref{Name: as.Name, Version: as.Version, Digest: id})
			return nil
		}
		f, err := os.Open(filepath.Clean(src.Tarball))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSource, err)
		}
		defer f.Close()
		p, err := deb.FromTar(ctx, f, sum, as, j.Store, options)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSource, src.Tarball, err)
		}
		if err := j.imports(p); err != nil {
			return err
		}
		return j.Store.SetConverted(key, j.imported[0].Digest)
	}
	return nil
}

func (j *job) imports(p *pkg.Package) error {
	ref, err := j.put(p)
	if err == nil {
		j.imported = append(j.imported, ref)
	}
	return err
}
