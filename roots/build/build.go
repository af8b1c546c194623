package build

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"ninefold/internal/progress"
	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/lock"
	"ninefold/roots/recipe"
	"ninefold/roots/store"
)

// Build makes the image of the named recipe and of those it comes from, root
// first, and tags each with its recipe's name. What is there already is found
// by the digest of what it would be made from, and nothing is done for it. Of
// two builds of one image at once the second waits, and finds it made.
//
// When ctx ends, Build stops at once; what was finished by then is kept.
func Build(ctx context.Context, c Config, name string, o Options) (*Result, error) {
	if c.Progress == nil {
		c.Progress = progress.None
	}
	if c.Root == "" {
		c.Root = "/"
	}
	chain, err := c.Recipes.Chain(name)
	if err != nil {
		return nil, err
	}
	for _, r := range chain {
		if err := checkSteps(r); err != nil {
			return nil, err
		}
	}
	b := &builder{Config: c, Options: o}
	defer b.close()
	result := &Result{}
	for i := range chain {
		img, err := b.image(ctx, chain[:i+1])
		if err != nil {
			return result, err
		}
		result.Images = append(result.Images, img)
		result.ID = img.ID
	}
	return result, nil
}

// builder carries what the images of one chain share.
type builder struct {
	Config
	Options
	locks  []*lock.Lock // of the images so far, root first
	parent image.ID
	// below are the packages of the image that the chain stands on.
	below []lock.Package
	// inherited is what that image fixes in the environment.
	inherited map[string]string
	leases    []*store.Lease
}

func (b *builder) close() {
	for _, l := range b.leases {
		l.Close()
	}
}

func (b *builder) debs() string   { return filepath.Join(b.State, "debs") }
func (b *builder) apt() string    { return filepath.Join(b.State, "apt") }
func (b *builder) builds() string { return filepath.Join(b.State, "builds") }

// image builds the last recipe of chain over the images before it.
func (b *builder) image(ctx context.Context, chain recipe.Chain) (Image, error) {
	r := chain.Last()
	release, err := b.Store.Build(ctx, r.Name)
	if err != nil {
		return Image{}, err
	}
	defer release()
	img := Image{Name: r.Name}
	j := &job{builder: b, chain: chain, recipe: r, image: &img}
	if err := j.build(ctx); err != nil {
		if ctx.Err() != nil {
			return img, context.Cause(ctx)
		}
		return img, fmt.Errorf("build %s: %w", r.Name, err)
	}
	lease, err := b.Store.Lease(img.ID)
	if err != nil {
		return img, fmt.Errorf("build %s: %w", r.Name, err)
	}
	b.leases = append(b.leases, lease)
	b.locks = append(b.locks, j.lock)
	b.parent = img.ID
	return img, nil
}

// job is the build of one image.
type job struct {
	*builder
	chain  recipe.Chain
	recipe *recipe.Recipe
	image  *Image
	lock   *lock.Lock
	// imported is the package of a recipe's own directory or tarball.
	imported []image.Ref
	// files is the directory with the recipe's fetched files, once they are there.
	files string
	// locked is what lock files of languages ask for.
	locked []lockedFiles
}

func (j *job) build(ctx context.Context) error {
	if err := j.languageLocks(); err != nil {
		return fmt.Errorf("recipe %s: %w", j.recipe.Name, err)
	}
	if err := j.lockFile(ctx); err != nil {
		return err
	}
	if err := j.importSource(ctx); err != nil {
		return err
	}
	inputs, err := j.inputs()
	if err != nil {
		return err
	}
	if id, ok := j.known(inputs); ok {
		j.image.ID, j.image.Unchanged = id, true
		m, err := j.Store.Image(id)
		if err != nil {
			return err
		}
		j.image.Packages = len(m.Packages)
		return j.publish(ctx)
	}
	refs, err := j.packages(ctx)
	if err != nil {
		return err
	}
	j.image.Packages = len(refs)
	if err := j.assemble(ctx, refs); err != nil {
		return err
	}
	if err := j.publish(ctx); err != nil {
		return err
	}
	// Last: it says that everything above was done.
	return j.remember(inputs)
}

// publish composes the image for mounting and gives it its name.
func (j *job) publish(ctx context.Context) error {
	start := time.Now()
	defer func() { j.image.timed("compose", start) }()
	for _, part := range append([]driver.Part{driver.Full}, j.Parts...) {
		if err := j.Driver.Compose(ctx, j.Store, j.image.ID, part); err != nil {
			return err
		}
	}
	return j.Store.Tag(j.recipe.Name, j.image.ID)
}
