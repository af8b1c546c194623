package plan

import (
	"slices"
	"strings"
	"testing"
)

// generous is what a careless profile of root's would give a guest.
func generous() Spec {
	return Spec{
		Profile: "careless", User: User{Name: "guest-61200", UID: 61200, GID: 61200, Home: GuestHome, Shell: "/bin/sh"}, Guest: true,
		HostBase: true, Layers: []Layer{{Kind: LayerDir, Source: "/"}},
		HostMounts: []HostMount{{Path: "/"}, {Path: "/usr"}, {Path: "/data"}, {Path: "/home"}, {Path: "/var/lib/ninefold/store"}, {Path: "/var/lib/docker"}},
		Upper:      &Upper{Dir: "/var/lib/ninefold/kept", Name: "x"},
		Namespaces: Namespaces{Net: NetHost, User: UserHost},
		Privileges: Privileges{Capabilities: Capabilities()},
		Home:       "shared", Tmp: "shared", Media: true,
		Others:      []string{"/home/anne", "/srv/people/bob", "/data/carol", "/", "/usr/sbin", "/var"},
		Environment: []Environment{{Name: "HOME", Value: GuestHome}},
	}
}

func TestAGuestGetsWhatAGuestGets(t *testing.T) {
	p, err := Compile(generous())
	if err != nil {
		t.Fatal(err)
	}
	n := p.Ops[0].(Namespaces)
	if p.Class != Untrusted || !n.PID || !n.IPC || !n.UTS || !n.Cgroup || n.Net != NetNone || n.User != UserMapped {
		t.Errorf("class %s, %+v", p.Class, n)
	}
	text := Print(p)
	for _, not := range []string{"/var/lib/ninefold/kept", "bind /home", "bind /tmp", "/data", "cap_", "/var/lib/ninefold/store"} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, not) && !strings.Contains(line, "tmpfs") && !strings.HasPrefix(line, "readonly") {
				t.Errorf("a guest has %q: %s", not, line)
			}
		}
	}
	readOnly := map[string]bool{}
	var memory []string
	for _, op := range p.Ops {
		switch o := op.(type) {
		case ReadOnly:
			readOnly[o.Target] = true
		case Mount:
			if o.Type == "tmpfs" {
				memory = append(memory, o.Target)
				if !slices.ContainsFunc(o.Options, func(s string) bool { return strings.HasPrefix(s, "size=") }) && o.Target != "/run" {
					t.Errorf("what a guest writes to %s has no bound", o.Target)
				}
			}
		case Privileges:
			if !o.NoNewPrivs || o.Seccomp != "default" || len(o.Capabilities)+len(o.Bounding) > 0 {
				t.Errorf("a guest may %+v", o)
			}
		}
	}
	for _, dir := range []string{"/", "/usr", "/var/lib/docker", "/home", "/root", "/srv", "/var/spool", "/etc/pam.d", "/usr/lib/pam.d"} {
		if !readOnly[dir] {
			t.Errorf("%s can be written to", dir)
		}
	}
	for _, dir := range []string{"/home", GuestHome, "/tmp", "/var/tmp", "/dev/shm", "/data/carol"} {
		if !slices.Contains(memory, dir) {
			t.Errorf("%s is not covered", dir)
		}
	}
	for _, dir := range []string{"/", "/usr/sbin", "/var"} {
		if slices.Contains(memory, dir) {
			t.Errorf("%s, which is the system's, is covered", dir)
		}
	}
	if again, err := Parse("guest", []byte(text)); err != nil || Print(again) != text {
		t.Errorf("it does not read back: %v", err)
	}
}

func TestNoGuestIsRoot(t *testing.T) {
	s := generous()
	s.User = User{Name: "root", Home: "/root", Shell: "/bin/sh"}
	if _, err := Compile(s); err == nil {
		t.Error("root became a guest")
	}
	s = generous()
	s.Login = true
	if _, err := Compile(s); err == nil {
		t.Error("a login became a guest's")
	}
}

func TestAPlanForAnotherGuest(t *testing.T) {
	compiled := func(uid string, id uint32) *Plan {
		s := generous()
		s.User = User{Name: "guest-" + uid, UID: id, GID: id, Groups: []uint32{id}, Home: GuestHome, Shell: "/bin/sh"}
		s.Files = []File{{Path: "/etc/passwd", Content: "other:x:161200:612001::/:/bin/sh\nguest-" + uid + ":x:" + uid + ":" + uid + ":Guest:/home/guest:/bin/sh\n"}}
		s.Environment = append(s.Environment, Environment{Name: "USER", Value: "guest-" + uid})
		p, err := Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one, two := compiled("61200", 61200), compiled("65519", 65519)
	before := Print(one)
	if got := Print(one.ForGuest(61200, 65519)); got != Print(two) {
		t.Errorf("it is\n%s\nand not\n%s", got, Print(two))
	}
	if Print(one) != before {
		t.Error("the plan itself was changed")
	}
}
