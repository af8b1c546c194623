package build

import (
	"context"
	"fmt"
	"slices"

	"ninefold/roots/compat"
	"ninefold/roots/pkg"
	"ninefold/roots/requires"
)

// requires is what the recipe says that the image needs, and the processor that
// its own directory or tarball was compiled for. Debian's packages are not looked at: all
// are for the lowest level.
func (j *job) requires(ctx context.Context) (requires.List, error) {
	need := j.recipe.Requires
	var ids []pkg.Digest
	for _, ref := range j.imported {
		ids = append(ids, ref.Digest)
	}
	packages, err := j.Store.Packages(ctx, ids)
	if err != nil {
		return need, err
	}
	for _, p := range packages {
		level, file, err := compat.Level(p, j.Store)
		if err != nil {
			return need, err
		}
		if said := slices.IndexFunc([]int{1, 2, 3, 4}, func(n int) bool { return requires.Level(n) == need.CPU }) + 1; level > said && level > 1 {
			if need.CPU != "" {
				return need, fmt.Errorf("recipe %s: it requires a processor of %s, and /%s is compiled for %s", j.recipe.Name, need.CPU, file, requires.Level(level))
			}
			need.CPU = requires.Level(level)
		}
	}
	return need, nil
}
