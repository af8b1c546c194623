package boot

import (
	"slices"

	"ninefold/roots/debversion"
)

// sortKernels puts the running version first and the others after it, newest first.
func sortKernels(versions []string, running string) {
	slices.SortFunc(versions, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == running:
			return -1
		case b == running:
			return 1
		}
		return debversion.Compare(b, a)
	})
}
