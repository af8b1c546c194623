package namespaces

import (
	"os"
	"path/filepath"
	"testing"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

// TestOlderKernels builds the same union with each way of naming layers that
// some kernel needs, and reads through all of its layers.
func TestOlderKernels(t *testing.T) {
	needs.Root(t)
	lib, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	top := t.TempDir()
	if err := os.WriteFile(filepath.Join(top, "top-file"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Class: plan.Trusted, Ops: []plan.Op{
		plan.Namespaces{PID: true, Net: plan.NetHost, User: plan.UserHost},
		plan.Overlay{Target: "/", Lowers: []plan.Layer{{Kind: plan.LayerDir, Source: top}, {Kind: plan.LayerDir, Source: "/"}}, Upper: &plan.Upper{}},
		plan.Mount{Type: "proc", Target: "/proc"},
		plan.Mount{Type: "tmpfs", Target: "/run"},
		plan.Bind{Source: lib, Target: "/run/ninefold/lib"},
		plan.Environment{Name: "PATH", Value: "/usr/bin:/bin"},
		plan.Identity{},
	}}
	for name, have := range map[string]kernel.OverlayFeatures{
		"6.1":  {},
		"6.5":  {DataOnly: true},
		"6.12": {DataOnly: true, LayerList: true},
		"here": kernel.Overlay(),
	} {
		c := Command{Argv: []string{"test", "-f", "/top-file", "-a", "-f", "/etc/passwd"}}
		null, err := c.fill()
		if err != nil {
			t.Fatal(err)
		}
		b, err := newBuilder(p, c)
		if err != nil {
			t.Fatal(err)
		}
		b.have = only(have)
		var s *Session
		err = kernel.OnThread(func() (err error) { s, err = b.run(); return })
		null.Close()
		if err != nil {
			t.Errorf("as on Linux %s: %v", name, err)
			continue
		}
		if status, err := s.Wait(); err != nil || status.Code != 0 {
			t.Errorf("as on Linux %s: %v %v", name, status, err)
		}
	}
}

// only leaves out what this kernel lacks itself.
func only(f kernel.OverlayFeatures) *kernel.OverlayFeatures {
	here := kernel.Overlay()
	return &kernel.OverlayFeatures{
		DataOnly: f.DataOnly && here.DataOnly, LayerList: f.LayerList && here.LayerList, LayerFD: f.LayerFD && here.LayerFD,
	}
}
