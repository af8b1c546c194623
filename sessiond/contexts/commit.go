package contexts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ninefold/internal/regular"
	"ninefold/internal/replace"
	"ninefold/roots/contexts"
	"ninefold/roots/recipe"
)

// ErrRecipe says that there is a recipe of that name, which is not to be replaced.
var ErrRecipe = errors.New("there is a recipe of that name")

// maxRecipe is the largest recipe that commit looks at before it replaces it, in
// bytes.
const maxRecipe = 16 << 20

// Committed is a commit with the files that it wrote.
type Committed struct {
	*contexts.Commit
	Recipe  string `json:"recipe"`
	Archive string `json:"archive"`
	// fresh says that there were no such files before.
	fresh bool
}

// Commit writes a recipe called as, and the archive that it speaks of, into the
// configuration: what an image has to add to the machine to be what the context
// is. Nobody may be in the context. A recipe is replaced only if replacing says so
// and an earlier commit wrote it.
func (c *Contexts) Commit(ctx context.Context, r contexts.Record, as string, replacing bool) (*Committed, error) {
	fail := func(err error) (*Committed, error) {
		return nil, fmt.Errorf("commit the context %s as %s: %w", r.Name, as, err)
	}
	if r.Owner != 0 {
		return fail(ErrUsers)
	}
	out, err := c.committed(r, as)
	if err != nil {
		return fail(err)
	}
	old, err := regular.Read(out.Recipe, maxRecipe)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		out.fresh = true
	case err != nil:
		return fail(err)
	case !replacing || !strings.HasPrefix(string(old), "# "+contexts.CommitMark):
		return fail(fmt.Errorf("%w: %s", ErrRecipe, out.Recipe))
	}
	// A commit that was killed leaves an archive alone. What has no mark is a person's.
	if _, err := os.Lstat(out.Archive); out.fresh && err == nil && !(replacing && contexts.IsCommitted(out.Archive)) {
		return fail(fmt.Errorf("%w, or a file of its: %s", ErrRecipe, out.Archive))
	}
	if err := c.write(ctx, r, as, out); err != nil {
		return fail(err)
	}
	return out, nil
}

// committed says which files a commit writes. A name that is wrong is told before the
// work.
func (c *Contexts) committed(r contexts.Record, as string) (*Committed, error) {
	probe := &contexts.Commit{SHA256: strings.Repeat("1", 64)}
	if _, err := recipe.Parse(as+".toml", []byte(probe.Recipe(as, r.Name, as+".tar"))); err != nil {
		return nil, err
	}
	dir := filepath.Join(c.m.Config()[0], "recipes")
	return &Committed{Recipe: filepath.Join(dir, as+".toml"), Archive: filepath.Join(dir, as+".tar")}, nil
}

// write writes the files of a commit.
func (c *Contexts) write(ctx context.Context, r contexts.Record, as string, out *Committed) error {
	claim, err := c.Claim(r, false)
	if err != nil {
		return err
	}
	defer claim.Release()
	r = claim.Record()
	if err := os.MkdirAll(filepath.Dir(out.Recipe), 0o755); err != nil {
		return err
	}
	archive := filepath.Base(out.Archive)
	// The archive first: the recipe speaks of it.
	err = replace.Stream(out.Archive, 0o600, func(f *os.File) (err error) {
		if err = c.over(ctx, r, func(root string) (err error) {
			out.Commit, err = c.store.Commit(ctx, r, root, f)
			return err
		}); err != nil {
			return err
		}
		// What the recipe says is checked before anything is in its place.
		_, err = recipe.Parse(out.Recipe, []byte(out.Commit.Recipe(as, r.Name, archive)))
		return err
	})
	if err == nil {
		err = replace.File(out.Recipe, []byte(out.Commit.Recipe(as, r.Name, archive)), 0o644)
	}
	return err
}

// Undo removes the files of a commit that no image came of, unless it replaced
// others.
func (c *Committed) Undo() error {
	if !c.fresh {
		return nil
	}
	return errors.Join(os.Remove(c.Recipe), os.Remove(c.Archive))
}
