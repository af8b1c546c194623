package namespaces_test

import (
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
	p := hostPlan(t, all, 0)
	root := p.Ops[1].(plan.Overlay)
	root.Upper = &plan.Upper{Dir: dir}
	p.Ops[1] = root
	const write = `rm /etc/hostname; rm -r /etc/skel; mkdir /etc/skel; echo one >/etc/skel/only; echo changed >/etc/passwd; mkdir -p /srv/made; echo one >/srv/made/file`
	p.Ops = append(p.Ops, plan.Privileges{Capabilities: []string{"cap_dac_override"}})
	if out, status := output(t, p, "sh", "-ec", write); status.Code != 0 {
		t.Fatalf("%v %s", status, out)
	}
	for _, class := range []plan.Class{plan.Trusted, plan.Untrusted} {
		root.Upper = &plan.Upper{Size: 16 << 20}
		root.Lowers = []plan.Layer{{Kind: plan.LayerUpper, Source: filepath.Join(dir, "upper")}, {Kind: plan.LayerDir, Source: "/"}}
		ns := all
		if class == plan.Untrusted {
			ns.User = plan.UserMapped
		}
		over := hostPlan(t, ns, 12345, plan.Privileges{NoNewPrivs: class == plan.Untrusted})
		over.Class, over.Ops[1] = class, root
		out, status := output(t, over, "sh", "-c", `ls /etc/hostname 2>/dev/null || echo gone; ls -A /etc/skel; cat /etc/passwd /srv/made/file; ls -d /usr/bin`)
		if want := "gone\nonly\nchanged\none\n/usr/bin\n"; out != want {
			t.Errorf("%s: %v\n%swant\n%s", class, status, out, want)
		}
	}
	over := hostPlan(t, all, 0)
	over.Ops[1] = root
	over.Ops = append(over.Ops, plan.Privileges{Capabilities: []string{"cap_dac_override"}})
	if out, status := output(t, over, "sh", "-ec", `echo two >/srv/made/file; rm /etc/skel/only; cat /srv/made/file; ls -A /etc/skel`); out != "two\n" {
		t.Errorf("%v %s", status, out)
	}
	for _, name := range []string{"srv/made/file", "etc/skel/only"} {
		if b, err := os.ReadFile(filepath.Join(dir, "upper", name)); err != nil || string(b) != "one\n" {
			t.Errorf("%s was written to: %q %v", name, b, err)
		}
	}
}
