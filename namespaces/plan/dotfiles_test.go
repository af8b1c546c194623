package plan_test

import (
	"slices"
	"testing"

	"ninefold/namespaces/plan"
)

func TestDotfilesComeOverTheSharedHome(t *testing.T) {
	for _, who := range []plan.Origin{0, 1000} {
		p, err := plan.Compile(loginSpec(t, "", func(s *plan.Spec) { s.Home, s.ProfileOrigin = "dotfiles", who }))
		if err != nil {
			t.Fatal(err)
		}
		back, err := plan.Parse("plan", []byte(plan.Print(p)))
		if err != nil || plan.Print(back) != plan.Print(p) {
			t.Fatalf("read back: %v\n%s", err, plan.Print(p))
		}
		home := at(p, "/home/mia")
		for dir, name := range map[string]string{".config": "config", ".local/share": "share", ".local/state": "state", ".cache": "cache"} {
			i := at(p, "/home/mia/"+dir)
			if i < home || home < 0 {
				t.Fatalf("%s is not bound over the home:\n%s", dir, plan.Print(p))
			}
			b := p.Ops[i].(plan.Bind)
			if b.Source != "/home/mia/.local/ninefold/dev/"+name || !b.AsUser || !b.Make || b.Optional {
				t.Errorf("%s: %s", dir, plan.PrintOp(b))
			}
		}
		// The daemon reads profiles of the user's own in the shared home.
		if i := at(p, "/home/mia/.config/ninefold"); i < at(p, "/home/mia/.config") || p.Ops[i].(plan.Bind).Source != "/home/mia/.config/ninefold" {
			t.Errorf("Ninefold's own is not the shared home's:\n%s", plan.Print(p))
		}
	}
}

// at is the step that binds something at target, or -1.
func at(p *plan.Plan, target string) int {
	return slices.IndexFunc(p.Ops, func(op plan.Op) bool { b, ok := op.(plan.Bind); return ok && b.Target == target })
}

func TestALineMakesNoSource(t *testing.T) {
	if _, err := plan.ParseLines("profile", []byte("bind -m /srv/x /n/x\n"), nil); err == nil {
		t.Error("a line of a profile can make directories of the host")
	}
}
