package manager

import (
	"context"
	"errors"
	"fmt"

	"ninefold/namespaces/plan"
	"ninefold/roots/store"
)

// layersOf returns the layers of a piece, topmost first.
func (m *Manager) layersOf(ctx context.Context, s *store.Store, p piece) ([]plan.Layer, error) {
	return nil, fmt.Errorf("layers of image %s: %w", p.Name, errors.ErrUnsupported)
}
