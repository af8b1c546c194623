package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// influences are all the ways in which somebody other than root can have a
// hand in a spec.
var influences = map[string]func(*Spec){
	"profile":      func(s *Spec) { s.ProfileOrigin = 1000 },
	"top layer":    func(s *Spec) { s.Layers = slices.Clone(s.Layers); s.Layers[0].Origin = 1000 },
	"base":         func(s *Spec) { s.Layers = slices.Clone(s.Layers); s.Layers[len(s.Layers)-1].Origin = 1000 },
	"upper":        func(s *Spec) { s.Upper = &Upper{Dir: "/kept/1000", Origin: 1000} },
	"line's file":  func(s *Spec) { s.Lines = []Line{{Op: Chdir{"/"}, Origin: 1000}} },
	"line's bind":  func(s *Spec) { s.Lines = []Line{{Op: Bind{Source: "/srv", Target: "/n/srv", Origin: 1000}}} },
	"somebody":     func(s *Spec) { s.ProfileOrigin = 65534 },
	"another user": func(s *Spec) { s.Lines = []Line{{Op: Environment{"A", "b"}, Origin: 1001}} },
}

func TestClass(t *testing.T) {
	home := func(s *Spec) { s.Home = "shared" }
	for _, tt := range []struct {
		name string
		edit func(*Spec)
		want Class
	}{
		{"as it is", func(*Spec) {}, Trusted},
		{"the user's own home", home, Trusted},
		{"a user namespace asked for", func(s *Spec) { s.Namespaces.User = UserMapped }, Trusted},
		{"root's line into the home", func(s *Spec) { s.Lines = []Line{{Op: Bind{Source: "/srv", Target: "/home/alice/srv"}}} }, Trusted},
		{"a kept layer that root wrote", func(s *Spec) { s.Upper = &Upper{Dir: "/kept/0"} }, Trusted},
		{"a profile of the user's", influences["profile"], Untrusted},
		{"an image of the user's", influences["top layer"], Untrusted},
		{"a layer the user wrote", influences["upper"], Untrusted},
		{"a line of the user's", influences["line's file"], Untrusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := imageSpec()
			tt.edit(&s)
			p, err := Compile(s)
			if err != nil {
				t.Fatal(err)
			}
			if p.Class != tt.want {
				t.Errorf("class %s, want %s", p.Class, tt.want)
			}
		})
	}
}

// No field of a spec buys back what an influence takes away: with any
// influence, over all combinations of what could be asked for, the plan is
// untrusted and confined.
func TestNothingOverridesUntrusted(t *testing.T) {
	asks := []func(*Spec){
		func(s *Spec) { s.Namespaces.User = UserHost },
		func(s *Spec) { s.Privileges = Privileges{Capabilities: Capabilities()} },
		func(s *Spec) { s.Privileges.NoNewPrivs = false },
		func(s *Spec) { s.Home, s.Tmp = "shared", "shared" },
		func(s *Spec) { s.Devices = []string{"sda"} },
		func(s *Spec) { s.Upper = nil },
		func(s *Spec) {
			s.Layers = []Layer{{Kind: LayerDir, Source: "/"}}
			s.HostBase, s.HostMounts = true, []HostMount{{Path: "/usr"}}
		},
		func(s *Spec) {
			s.Lines = append(s.Lines, Line{Op: Bind{Source: "/x", Target: "/usr/x"}},
				Line{Op: Mount{Type: "tmpfs", Target: "/usr/y"}})
		},
	}
	for name, influence := range influences {
		for mask := range 1 << len(asks) {
			s := imageSpec()
			for i, ask := range asks {
				if mask>>i&1 == 1 {
					ask(&s)
				}
			}
			influence(&s)
			p, err := Compile(s)
			if err != nil {
				t.Fatalf("%s, asks %b: %v", name, mask, err)
			}
			confined(t, name, p)
			s.User = User{Name: "root", Home: "/root"}
			if p, err := Compile(s); !errors.Is(err, ErrRootUntrusted) {
				t.Fatalf("%s, asks %b: root got %v, %v", name, mask, p, err)
			}
		}
	}
}

func confined(t *testing.T, name string, p *Plan) {
	t.Helper()
	if p.Class != Untrusted {
		t.Fatalf("%s: class %s", name, p.Class)
	}
	for _, op := range p.Ops {
		ok := true
		switch o := op.(type) {
		case Namespaces:
			ok = o.User == UserMapped
		case Overlay:
			ok = o.Flags.NoSuid && o.Flags.NoDev
		case Bind:
			ok = o.Flags.NoSuid && o.Flags.NoDev
		case Mount:
			ok = o.Flags.NoSuid && (o.Flags.NoDev || o.Target == "/dev" || o.Target == "/dev/pts")
		case Privileges:
			ok = o.NoNewPrivs && o.Capabilities == nil && o.Bounding == nil
		case Identity:
			ok = o.UID != 0
		}
		if !ok {
			t.Fatalf("%s: %s", name, PrintOp(op))
		}
	}
}

// A profile says what can be had in its sessions, and gives nobody more than
// they have on the host.
func TestPrivilegesFollowTheUser(t *testing.T) {
	for _, tt := range []struct {
		uid    uint32
		nnp    bool
		origin Origin
		want   string
	}{
		{0, false, 0, "privileges cap_chown\n"},
		{0, true, 0, "privileges nonewprivs cap_chown\n"},
		{1000, false, 0, "privileges bounding cap_chown\n"},
		{1000, true, 0, "privileges nonewprivs\n"},
		{1000, false, 1000, "privileges nonewprivs\n"},
	} {
		s := imageSpec()
		s.User.UID, s.ProfileOrigin = tt.uid, tt.origin
		s.Privileges = Privileges{Capabilities: []string{"cap_chown"}, NoNewPrivs: tt.nnp}
		p, err := Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := Print(p); !strings.Contains(got, tt.want) {
			t.Errorf("uid %d, no_new_privs %v, origin %d: no line %q in\n%s", tt.uid, tt.nnp, tt.origin, tt.want, got)
		}
	}
}

func TestForeignLines(t *testing.T) {
	for _, tt := range []struct {
		op   Op
		want string // "": allowed
	}{
		{Bind{Source: "/srv", Target: "/n/srv"}, ""},
		{Bind{Source: "/srv", Target: "/tmp/srv"}, ""},
		{Bind{Source: "/srv", Target: "/home/alice/srv"}, ""},
		{Chdir{"/"}, ""},
		{Environment{"A", "b"}, ""},
		{Bind{Source: "/srv", Target: "/home/alice"}, "only bind below"},
		{Bind{Source: "/srv", Target: "/n"}, "only bind below"},
		{Bind{Source: "/srv", Target: "/nx"}, "only bind below"},
		{Bind{Source: "/srv", Target: "/etc"}, "only bind below"},
		{Bind{Source: "/srv", Target: "/home/bob/x"}, "only bind below"},
		{Bind{Source: "/srv", Target: "/run/ninefold/session"}, "only bind below"},
		{Bind{Source: "/proc/1/root", Target: "/n/x"}, "in /proc"},
		{Bind{Source: "/srv", Target: "/n/x", Where: Before}, "a union takes a line of root's"},
		{Unmount{"/n/srv"}, "can only bind, cd and env"},
		{Mount{Type: "tmpfs", Target: "/n/x"}, "can only bind, cd and env"},
		{Mkdir{Path: "/n/x"}, "can only bind, cd and env"},
		{Link{"a", "/n/x"}, "can only bind, cd and env"},
		{File{Path: "/n/x"}, "can only bind, cd and env"},
		{ReadOnly{"/"}, "can only bind, cd and env"},
		{Privileges{}, "can only bind, cd and env"},
		{Overlay{Target: "/n/x"}, "can only bind, cd and env"},
	} {
		s := imageSpec()
		s.Lines = []Line{{Op: tt.op, Origin: 1000}}
		_, err := Compile(s)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", PrintOp(tt.op), err)
		case tt.want != "" && (!errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", PrintOp(tt.op), err, tt.want)
		}
	}
}

// A plan that was written by hand is held to the same rules.
func TestValidate(t *testing.T) {
	compiled := func(untrusted bool) *Plan {
		s := imageSpec()
		if untrusted {
			s.ProfileOrigin = 1000
		}
		p, err := Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	replace := func(p *Plan, edit func(Op) Op) *Plan {
		for i, op := range p.Ops {
			p.Ops[i] = edit(op)
		}
		return p
	}
	for _, tt := range []struct {
		name string
		plan *Plan
		want string
	}{
		{"no class", &Plan{Ops: compiled(false).Ops}, "no class"},
		{"untrusted called trusted", &Plan{Class: Trusted, Ops: append(compiled(false).Ops, Bind{Source: "/a", Target: "/b", Origin: 1000})}, "calls itself trusted"},
		{"layer of a user's called trusted", &Plan{Class: Trusted, Ops: append(compiled(false).Ops, Overlay{Target: "/x", Lowers: []Layer{{Kind: LayerDir, Source: "/", Origin: 7}}})}, "calls itself trusted"},
		{"trusted called untrusted", &Plan{Class: Untrusted, Ops: compiled(false).Ops}, "not confined"},
		{"no namespaces", &Plan{Class: Trusted, Ops: compiled(false).Ops[1:]}, "first step"},
		{"no root", &Plan{Class: Trusted, Ops: append(compiled(false).Ops[:1:1], compiled(false).Ops[2:]...)}, "second step"},
		{"two roots", &Plan{Class: Trusted, Ops: append(compiled(false).Ops, compiled(false).Ops[1])}, "stands twice"},
		{"two users", &Plan{Class: Trusted, Ops: append(compiled(false).Ops, Identity{UID: 0})}, "at most once"},
		{"bad step", &Plan{Class: Trusted, Ops: append(compiled(false).Ops, Unmount{"x"})}, "step 27 (unmount)"},
		{"suid bind", replace(compiled(true), func(op Op) Op {
			if b, ok := op.(Bind); ok {
				b.Flags.NoSuid = false
				return b
			}
			return op
		}), "not confined"},
		{"privileges", replace(compiled(true), func(op Op) Op {
			if _, ok := op.(Privileges); ok {
				return Privileges{NoNewPrivs: true, Capabilities: []string{"cap_chown"}}
			}
			return op
		}), "not confined"},
		{"root", replace(compiled(true), func(op Op) Op {
			if _, ok := op.(Identity); ok {
				return Identity{}
			}
			return op
		}), "its user is root"},
		{"no user", replace(compiled(true), func(op Op) Op {
			if _, ok := op.(Identity); ok {
				return Chdir{"/"}
			}
			return op
		}), "has to say user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := Validate(tt.plan); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
