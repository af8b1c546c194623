package namespaces

import (
	"fmt"
	"slices"

	"ninefold/namespaces/plan"
)

// capabilityBits returns the set of names as the kernel numbers them.
func capabilityBits(names []string) (bits uint64, err error) {
	all := plan.Capabilities()
	for _, name := range names {
		i := slices.Index(all, name)
		if i < 0 {
			return 0, fmt.Errorf("%w: %q is not a capability of capabilities(7)", ErrPlan, name)
		}
		bits |= 1 << i
	}
	return bits, nil
}
