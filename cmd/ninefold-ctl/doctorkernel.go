package main

import (
	"context"
	"fmt"

	"ninefold/cmd/internal/exit"
	"ninefold/roots/store"
	"ninefold/sessiond/manager"
)

// unfit says which images need what this machine would not have with a kernel.
func (a *app) unfit(ctx context.Context, kernel string) error {
	var unfit []manager.Unfit
	err := a.inStore(func(s *store.Store) (err error) {
		unfit, err = a.manager().Unfit(ctx, s, kernel)
		return err
	})
	if err != nil {
		return err
	}
	var rows [][]string
	for _, u := range unfit {
		nearest := u.Nearest
		if nearest == "" {
			nearest = "none that is installed"
		}
		for i, l := range u.Lacks {
			name := u.Image
			if i > 0 {
				name, nearest = "", ""
			}
			rows = append(rows, []string{name, plain(l.Needs), plain(l.Has), nearest})
		}
	}
	if len(unfit) == 0 && !a.json {
		_, err := fmt.Fprintf(a.Out, "every image has what it needs with Linux %s\n", plain(kernel))
		return err
	}
	if err := a.list(unfit, []string{"IMAGE", "NEEDS", "THERE IS", "NEAREST THAT WORKS"}, rows); err != nil || len(unfit) == 0 {
		return err
	}
	return &exit.Error{Code: exit.Failed, Err: fmt.Errorf("with Linux %s this machine lacks what %s", plain(kernel), count(len(unfit), "image needs", "images need")),
		Hint: "keep a kernel that works installed: logins on these images would stay on the host"}
}
