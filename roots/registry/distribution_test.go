package registry

import (
	"strings"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/registry/testregistry"
	"ninefold/tests/needs"
)

// distribution starts the registry that most others descend from.
func distribution(t *testing.T) *testregistry.Server {
	t.Helper()
	needs.Programs(t, testregistry.Program)
	s, err := testregistry.Start(t.Context(), t.TempDir(), testregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestDistribution pushes to and pulls from a real registry.
func TestDistribution(t *testing.T) {
	ref := distribution(t).Host + "/steve/base:1"
	from, to := open(t), open(t)
	id := addImage(t, from, image.ID{}, addPackage(t, from, "one", "usr/bin/one", "first"), addPackage(t, from, "two", "usr/bin/two", strings.Repeat("x", 1<<20)))
	for range 2 {
		if err := Push(t.Context(), from, id, ref, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Pull(t.Context(), to, ref, Options{}); err != nil || got != id {
		t.Fatalf("pulled %s: %v", got.Short(), err)
	}
}
