package namespaces_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

// TestWhatWasWrittenLiesOverTheRoot: a layer that another session wrote over the
// host's root, which it lies in, hides there what was removed, and is not written to.
func TestWhatWasWrittenLiesOverTheRoot(t *testing.T) {
	needs.Root(t)
	dir, err := os.MkdirTemp("/var/tmp", "written-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	host, layer := filepath.Join(dir, "host"), filepath.Join(dir, "layer")
	if err := errors.Join(os.Chmod(dir, 0o755), os.MkdirAll(host+"/dir", 0o755), os.Mkdir(layer, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gone", "changed", "dir/old"} {
		if err := os.WriteFile(filepath.Join(host, name), []byte("host\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := hostPlan(t, all, 0, plan.Privileges{Capabilities: []string{"cap_dac_override"}})
	root := p.Ops[1].(plan.Overlay)
	root.Upper = &plan.Upper{Dir: layer}
	p.Ops[1] = root
	if out, status := output(t, p, "sh", "-ec", "cd "+host+"; rm gone; rm -r dir; mkdir dir; echo one >dir/only; echo one >changed; echo one >made"); status.Code != 0 {
		t.Fatalf("%v %s", status, out)
	}
	root.Upper = &plan.Upper{Size: 16 << 20}
	root.Lowers = []plan.Layer{{Kind: plan.LayerUpper, Source: filepath.Join(layer, "upper")}, {Kind: plan.LayerDir, Source: "/"}}
	for _, class := range []plan.Class{plan.Trusted, plan.Untrusted} {
		ns := all
		if class == plan.Untrusted {
			ns.User = plan.UserMapped
		}
		over := hostPlan(t, ns, 12345, plan.Privileges{NoNewPrivs: class == plan.Untrusted})
		over.Class, over.Ops[1] = class, root
		out, status := output(t, over, "sh", "-c", "cd "+host+"; ls gone 2>/dev/null || echo no more; ls -A dir; cat changed made")
		if want := "no more\nonly\none\none\n"; out != want {
			t.Errorf("%s: %v\n%swant\n%s", class, status, out, want)
		}
	}
	over := hostPlan(t, all, 0, plan.Privileges{Capabilities: []string{"cap_dac_override"}})
	over.Ops[1] = root
	if out, status := output(t, over, "sh", "-ec", "cd "+host+"; echo two >made; rm dir/only; cat made; ls -A dir"); out != "two\n" {
		t.Errorf("%v %s", status, out)
	}
	for _, name := range []string{"made", "dir/only"} {
		if b, err := os.ReadFile(filepath.Join(layer, "upper", host, name)); err != nil || string(b) != "one\n" {
			t.Errorf("%s was written to: %q %v", name, b, err)
		}
	}
}
