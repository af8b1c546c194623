package views

import (
	"fmt"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/manager"
)

// prove starts the login shell in a root made of images: a shell that is there and
// does not run would be a login that ends where it begins. It is tried for each
// view, since a disk goes bad at any time.
func prove(s *namespaces.Session, login *manager.Login) error {
	if root, ok := login.Plan.Ops[1].(plan.Overlay); ok && root.Lowers[0].Source == "/" {
		return nil // the host's own
	}
	if err := login.TryShell(s); err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return nil
}
