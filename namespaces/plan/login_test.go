package plan_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ninefold/namespaces/plan"
)

func loginSpec(t *testing.T, lines string, change func(*plan.Spec)) plan.Spec {
	t.Helper()
	s := plan.Spec{
		Profile: "dev", Login: true, HostBase: true, User: plan.User{Name: "mia", UID: 1000, GID: 1000, Home: "/home/mia"},
		Layers: []plan.Layer{{Kind: plan.LayerDir, Source: "/"}}, Upper: &plan.Upper{}, InitDir: "/usr/lib/ninefold",
	}
	ops, err := plan.ParseLines("profile", []byte(lines), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		s.Lines = append(s.Lines, plan.Line{Op: op})
	}
	if change != nil {
		change(&s)
	}
	return s
}

func TestALoginSharesWhatItsProcessesCameWith(t *testing.T) {
	p, err := plan.Compile(loginSpec(t, "bind /srv /n/srv\n", func(s *plan.Spec) {
		// On an image this link would be made, and /run is the host's own here.
		s.Projections = []plan.Projection{{Dir: "/run/systemd/resolve", Links: []plan.Link{{Text: "x", Path: "/run/systemd/resolve"}}}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Split(plan.Print(p), "\n")
	shared := 0
	for _, op := range p.Ops {
		switch o := op.(type) {
		case plan.Bind:
			if slices.Contains([]string{"/run", "/dev", "/sys", "/proc"}, o.Target) && o.Source == o.Target && o.Recursive && !o.Flags.ReadOnly {
				shared++
			}
		case plan.Link:
			if strings.HasPrefix(o.Path, "/run/") && o.Path != plan.Door && o.Path != plan.Broker {
				t.Errorf("a link would be made on the host: %s", plan.PrintOp(op))
			}
		case plan.Mkdir:
			t.Errorf("a directory would be made on the host: %s", plan.PrintOp(op))
		}
	}
	if shared != 4 {
		t.Errorf("%d of 4 directories are the host's:\n%s", shared, strings.Join(text, "\n"))
	}
	// Ninefold's own directory is covered before anything is put in it.
	cover := slices.IndexFunc(p.Ops, func(op plan.Op) bool { m, ok := op.(plan.Mount); return ok && m.Target == "/run/ninefold" })
	for i, op := range p.Ops {
		if b, ok := op.(plan.Bind); ok && strings.HasPrefix(b.Target, "/run/ninefold/") && i < cover {
			t.Errorf("%s would be made on the host", plan.PrintOp(op))
		}
	}
	again, err := plan.Parse("printed", []byte(plan.Print(p)))
	if err != nil || plan.Print(again) != plan.Print(p) {
		t.Errorf("it does not read back: %v", err)
	}
}

func TestALoginIsNotGivenLessThanTheProfileSays(t *testing.T) {
	for name, change := range map[string]func(*plan.Spec){
		"pid":              func(s *plan.Spec) { s.Namespaces.PID = true },
		"cgroup":           func(s *plan.Spec) { s.Namespaces.Cgroup = true },
		"net":              func(s *plan.Spec) { s.Namespaces.Net = plan.NetNone },
		"user":             func(s *plan.Spec) { s.Namespaces.User = plan.UserMapped },
		"seccomp":          func(s *plan.Spec) { s.Privileges.Seccomp = "default" },
		"no_new_privs":     func(s *plan.Spec) { s.Privileges.NoNewPrivs = true },
		"a user's pid":     func(s *plan.Spec) { s.ProfileOrigin, s.Namespaces.PID = 1000, true },
		"a user's seccomp": func(s *plan.Spec) { s.ProfileOrigin, s.Privileges.Seccomp = 1000, "default" },
	} {
		if _, err := plan.Compile(loginSpec(t, "", change)); !errors.Is(err, plan.ErrLogin) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, line := range []string{"bind /srv /run/srv", "mkdir /dev/x", "file /run/x text", "mount tmpfs /sys/kernel/debug", "link a /run/b"} {
		if _, err := plan.Compile(loginSpec(t, line+"\n", nil)); err == nil {
			t.Errorf("%s: a line that changes the host was taken", line)
		}
	}
	both := loginSpec(t, "", func(s *plan.Spec) { s.Namespaces.IPC, s.Namespaces.UTS, s.Namespaces.Hostname = true, true, "lab" })
	if _, err := plan.Compile(both); err != nil {
		t.Errorf("ipc and uts: %v", err)
	}
}

// An untrusted login has its devices and /run/user, and is confined all the same.
func TestAnUntrustedLogin(t *testing.T) {
	p, err := plan.Compile(loginSpec(t, "", func(s *plan.Spec) { s.ProfileOrigin = 1000 }))
	if err != nil {
		t.Fatal(err)
	}
	if n := p.Ops[0].(plan.Namespaces); p.Class != plan.Untrusted || n.User != plan.UserMapped {
		t.Errorf("class %s, %+v", p.Class, n)
	}
	var follow []string
	for _, op := range p.Ops {
		b, ok := op.(plan.Bind)
		if !ok {
			continue
		}
		if !b.Flags.NoSuid || b.Flags.NoDev == (b.Target == "/dev") {
			t.Errorf("%s", plan.PrintOp(op))
		}
		if plan.FollowsHost(b) {
			follow = append(follow, b.Target)
		}
	}
	if !slices.Equal(follow, []string{"/run"}) {
		t.Errorf("later mounts appear in %q", follow)
	}
	if again, err := plan.Parse("printed", []byte(plan.Print(p))); err != nil || plan.Validate(again) != nil {
		t.Errorf("it does not read back: %v", err)
	}
	if _, err := plan.Compile(loginSpec(t, "bind /dev /dev\n", func(s *plan.Spec) { s.ProfileOrigin = 1000 })); err == nil {
		t.Error("a line may bring the devices")
	}
}

func TestTheHostLiesOverAnImage(t *testing.T) {
	over := func(host bool, layers ...plan.Layer) (found []plan.Overlay) {
		t.Helper()
		p, err := plan.Compile(loginSpec(t, "", func(s *plan.Spec) {
			s.Over, s.HostBase, s.Layers = []string{"/etc/pam.d"}, host, layers
		}))
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range p.Ops {
			if o, ok := op.(plan.Overlay); ok && o.Target == "/etc/pam.d" {
				found = append(found, o)
			}
		}
		return found
	}
	image := plan.Layer{Kind: plan.LayerComposefs, Source: "/s/image", Data: "/s/objects"}
	root := plan.Layer{Kind: plan.LayerDir, Source: "/"}
	got := over(false, image)
	if len(got) != 1 || len(got[0].Lowers) != 2 || got[0].Lowers[0].Source != "/etc/pam.d" || got[0].Lowers[1].Sub != "etc/pam.d" || got[0].Upper == nil {
		t.Errorf("over an image: %+v", got)
	}
	if got := over(true, image, root); len(got) != 1 || len(got[0].Lowers) != 2 || got[0].Lowers[1].Source != "/s/image" {
		t.Errorf("over a merged runtime: %+v", got)
	}
	if got := over(true, root); len(got) != 0 {
		t.Errorf("on the host, whose it is anyway: %+v", got)
	}
}

// A session without a broker has no way to its socket, by any name.
func TestALoginWithoutABroker(t *testing.T) {
	for _, origin := range []plan.Origin{0, 1000} {
		p, err := plan.Compile(loginSpec(t, "", func(s *plan.Spec) { s.NoBroker, s.ProfileOrigin = true, origin }))
		if err != nil {
			t.Fatal(err)
		}
		run := slices.IndexFunc(p.Ops, func(op plan.Op) bool {
			b, ok := op.(plan.Bind)
			return ok && b.Target == plan.MachineDir+"/run/ninefold"
		})
		over := slices.IndexFunc(p.Ops, func(op plan.Op) bool { m, ok := op.(plan.Mount); return ok && m.Target == plan.MachineDir+plan.Broker })
		if run < 0 || over < run || strings.Contains(plan.Print(p), " "+plan.Broker+"\n") {
			t.Errorf("step %d, after %d:\n%s", over, run, plan.Print(p))
		}
	}
}

// What lies in /run/user/UID of the host is not seen beside a manager of the
// view's own, and nothing is made there.
func TestALoginWithARuntimeDirectoryOfItsOwn(t *testing.T) {
	for _, origin := range []plan.Origin{0, 1000} {
		p, err := plan.Compile(loginSpec(t, "", func(s *plan.Spec) { s.OwnRuntime, s.ProfileOrigin = true, origin }))
		if err != nil {
			t.Fatal(err)
		}
		run := slices.IndexFunc(p.Ops, func(op plan.Op) bool { b, ok := op.(plan.Bind); return ok && b.Target == "/run" })
		own := slices.IndexFunc(p.Ops, func(op plan.Op) bool { m, ok := op.(plan.Mount); return ok && m.Target == "/run/user/1000" })
		if own < run || run < 0 {
			t.Fatalf("step %d, after %d:\n%s", own, run, plan.Print(p))
		}
		m := p.Ops[own].(plan.Mount)
		if !m.Flags.NoSuid || !m.Flags.NoDev || !slices.Contains(m.Options, "uid=1000") || !slices.Contains(m.Options, "mode=0700") {
			t.Errorf("%s", plan.PrintOp(m))
		}
		if again, err := plan.Parse("printed", []byte(plan.Print(p))); err != nil || plan.Validate(again) != nil {
			t.Errorf("it does not read back: %v", err)
		}
	}
}
