package main

import (
	"context"
	"fmt"
	"time"

	"ninefold/roots/store"
	"ninefold/roots/trust"
)

// signAll signs the images that were made or found, when that is asked for.
func (r *request) signAll(ctx context.Context, s *store.Store, all []outcome) error {
	if r.key == nil {
		return nil
	}
	for _, o := range all {
		if _, err := trust.Sign(ctx, s, r.key, o.ID, trust.Signing{Reference: o.Name, Created: time.Now()}); err != nil {
			return fmt.Errorf("sign %s: %w", o.Name, err)
		}
	}
	return nil
}
