package registry

import (
	"maps"
	"slices"

	"ninefold/roots/image"
)

// environment is what a container engine sets: the chain's variables, sorted,
// a child's in place of its parent's, and a PATH if there is none.
func environment(chain []*image.Manifest) []string {
	all := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, m := range chain {
		maps.Copy(all, m.Environment)
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, k+"="+all[k])
	}
	return out
}
