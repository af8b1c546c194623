package rebuild

import (
	"context"
	"errors"
	"fmt"

	"ninefold/internal/progress"
	"ninefold/roots/export"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Exports are the sums of what images are exported to, by image and form.
type Exports map[string]map[string]pkg.Digest

// forms are those whose bytes are compared; what the other one, a directory, holds is the packages'.
var forms = []string{export.Tar, export.Erofs, export.Squashfs, export.OCI}

// SumExports exports images in every form, and keeps the sums. An image that another one of them stands on
// is left out, for all that it holds is in what the other one is exported to; so is a form
// whose program is not installed. The caller holds leases of the images.
func SumExports(ctx context.Context, s *store.Store, ids []image.ID) (Exports, error) {
	parents := map[image.ID]bool{}
	for _, id := range ids {
		m, err := s.Image(id)
		if err != nil {
			return nil, err
		}
		parents[m.Parent] = true
	}
	all := Exports{}
	quiet := s.WithProgress(progress.None)
	for _, id := range ids {
		if parents[id] || all[id.String()] != nil {
			continue
		}
		all[id.String()] = map[string]pkg.Digest{}
		for i, form := range forms {
			s.Progress().Update(progress.Update{Stage: "export", Item: form, Done: int64(i), Total: int64(len(forms)), Unit: "forms"})
			sum, err := export.Sum(ctx, quiet, id, form)
			if errors.Is(err, export.ErrTool) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("export image %s to %s: %w", id.Short(), form, err)
			}
			all[id.String()][form] = sum
		}
		s.Progress().Update(progress.Update{Stage: "export", Done: int64(len(forms)), Total: int64(len(forms)), Unit: "forms", End: true})
	}
	return all, nil
}

// Lacks lists the forms that an image was not exported to.
func (e Exports) Lacks() []string {
	var list []string
	for _, form := range forms {
		for _, sums := range e {
			if _, ok := sums[form]; !ok {
				list = append(list, form)
				break
			}
		}
	}
	return list
}

// Compare says in which forms the exports of an image are not the same in both. One that is not
// in both is not compared.
func (e Exports) Compare(other Exports, id image.ID) []string {
	mine, theirs := e[id.String()], other[id.String()]
	if mine == nil || theirs == nil {
		return nil
	}
	var found []string
	for _, form := range forms {
		if mine[form] != theirs[form] {
			found = append(found, "export to "+form)
		}
	}
	return found
}
