package plan

import (
	"errors"
	"slices"
	"testing"
)

// keeping is generous, with a home that is kept.
func keeping() Spec {
	s := generous()
	s.Home, s.HomeDisk = "kept", "/var/lib/ninefold/guests/homes/careless/disk"
	return s
}

func TestAHomeThatIsKept(t *testing.T) {
	p, err := Compile(keeping())
	if err != nil {
		t.Fatal(err)
	}
	want := Disk{Source: keeping().HomeDisk, Target: GuestHome, Size: GuestSize, UID: 61200, GID: 61200, Flags: Flags{NoSuid: true, NoDev: true}}
	if !slices.Contains(p.Ops, Op(want)) {
		t.Errorf("there is no %s in\n%s", PrintOp(want), Print(p))
	}
	for _, op := range p.Ops {
		if m, ok := op.(Mount); ok && m.Target == GuestHome {
			t.Errorf("it is in memory, too: %s", PrintOp(m))
		}
	}
	want.UID, want.GID = 65519, 65519
	if other := p.ForGuest(61200, 65519); !slices.Contains(other.Ops, Op(want)) {
		t.Errorf("for another guest it is\n%s", Print(other))
	}
	if again, err := Parse("kept", []byte(Print(p))); err != nil || Print(again) != Print(p) || Validate(again) != nil {
		t.Errorf("it does not read back: %v", err)
	}
	s := keeping()
	s.Upper = &Upper{Size: 64 << 20}
	if p, err = Compile(s); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.Ops, func(op Op) bool { d, ok := op.(Disk); return ok && d.Size == 64<<20 }) {
		t.Errorf("its size is not the profile's:\n%s", Print(p))
	}
}

func TestWhoseHomeIsNotKept(t *testing.T) {
	for what, change := range map[string]func(*Spec){
		"somebody there is":   func(s *Spec) { s.Guest = false },
		"a user's profile":    func(s *Spec) { s.ProfileOrigin = 1000 },
		"without a file":      func(s *Spec) { s.HomeDisk = "" },
		"a file without root": func(s *Spec) { s.HomeDisk = "homes/disk" },
		"too small":           func(s *Spec) { s.Upper = &Upper{Size: 1 << 20} },
	} {
		s := keeping()
		change(&s)
		if p, err := Compile(s); err == nil {
			t.Errorf("%s: it became\n%s", what, Print(p))
		}
	}
	if _, err := ParseLines("a profile", []byte("disk -sd /srv/x /home/guest size=8388608 uid=61200 gid=61200\n"), nil); !errors.Is(err, ErrForbidden) {
		t.Errorf("a profile's line has a disk: %v", err)
	}
	for _, weak := range []Flags{{NoSuid: true}, {NoDev: true}} {
		p, err := Compile(keeping())
		if err != nil {
			t.Fatal(err)
		}
		for i, op := range p.Ops {
			if d, ok := op.(Disk); ok {
				d.Flags = weak
				p.Ops[i] = d
			}
		}
		if Validate(p) == nil {
			t.Errorf("a guest's home is mounted with %+v", weak)
		}
	}
	for _, line := range []string{
		"disk -sd /srv/x /home/guest size=8388608 gid=61200", "disk -sd /srv/x /home/guest size=8388608 uid=61200",
		"disk -sd /srv/x /home/guest uid=61200 gid=61200", "disk -sd srv /home/guest size=8388608 uid=61200 gid=61200",
		"disk -sd /srv/x / size=8388608 uid=61200 gid=61200", "disk -sd /srv/x /home/guest size=8388608 uid=4294967295 gid=61200",
	} {
		if p, err := Parse("a plan", []byte("ninefold 1\n"+line+"\n")); err == nil {
			t.Errorf("%q became %s", line, PrintOp(p.Ops[0]))
		}
	}
}
