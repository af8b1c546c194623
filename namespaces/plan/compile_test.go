package plan

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

var alice = User{Name: "alice", UID: 1000, GID: 1000, Groups: []uint32{27, 100}, Home: "/home/alice", Shell: "/bin/bash"}

func imageSpec() Spec {
	return Spec{
		Profile: "desktop",
		User:    alice,
		Layers: []Layer{
			{Kind: LayerComposefs, Source: "/s/composefs/desktop", Data: "/s/objects"},
			{Kind: LayerComposefs, Source: "/s/composefs/debian base", Data: "/s/objects"},
		},
		Upper:      &Upper{Size: 512 << 20},
		Namespaces: Namespaces{PID: true, IPC: true, UTS: true, Net: NetNone, Hostname: "box"},
		Privileges: Privileges{Capabilities: []string{"cap_chown"}, Seccomp: "default"},
		Limits:     []Limit{{"nofile", 4096}, {"core", Unlimited}},
		Devices:    []string{"dri", "snd"},
		Projections: []Projection{{Dir: "/etc", Links: []Link{
			{Text: MachineDir + "/etc/resolv.conf", Path: "/etc/resolv.conf"},
			{Text: MachineDir + "/etc/hosts", Path: "/etc/hosts"},
		}}},
		Files:       []File{{Path: "/etc/passwd", Mode: 0o644, Content: "root:x:0:0::/root:/bin/sh\nalice's\n"}},
		InitDir:     "/usr/lib/ninefold",
		Environment: []Environment{{"LANG", "C.UTF-8"}},
		Lines:       []Line{{Op: Bind{Source: "/srv/tools", Target: "/opt/tools", Flags: Flags{ReadOnly: true}}}},
	}
}

func hostSpec() Spec {
	return Spec{
		Profile:    "host",
		User:       User{Name: "root", Home: "/root"},
		Layers:     []Layer{{Kind: LayerDir, Source: "/"}},
		HostBase:   true,
		HostMounts: []HostMount{{Path: "/var/lib"}, {Path: "/usr"}, {Path: "/var"}, {Path: "/run/lock"}, {Path: "/dev/shm"}, {Path: "/root/disk"}, {Path: "/usr"}},
		Upper:      &Upper{},
		Namespaces: Namespaces{PID: true, IPC: true},
		Privileges: Privileges{Capabilities: []string{"cap_chown", "cap_setuid"}},
	}
}

// The golden files are what a person reads with sessionctl ns.
func TestCompileGolden(t *testing.T) {
	readOnly := hostSpec()
	readOnly.Upper = nil
	readOnly.Home, readOnly.Tmp = "none", "shared"
	readOnly.Namespaces = Namespaces{}
	foreign := imageSpec()
	foreign.ProfileOrigin = 1000
	foreign.Home = "private"
	foreign.Lines = []Line{
		{Op: Bind{Source: "/home/alice/src", Target: "/n/src", Recursive: true}, Origin: 1000},
		{Op: Environment{"EDITOR", "acme"}, Origin: 1000},
	}
	for name, s := range map[string]Spec{"image": imageSpec(), "host": hostSpec(), "readonly": readOnly, "untrusted": foreign} {
		t.Run(name, func(t *testing.T) {
			p, err := Compile(s)
			if err != nil {
				t.Fatal(err)
			}
			got := Print(p)
			file := filepath.Join("testdata", name+".ns")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("compiled to\n%s\nwant\n%s", got, want)
			}
			back, err := Parse(file, want)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back, p) {
				t.Errorf("read back as %#v\nwant %#v", back, p)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Spec)
		want string
	}{
		{"no layers", func(s *Spec) { s.Layers = nil }, "no layer"},
		{"host base without /", func(s *Spec) { s.HostBase = true }, "last layer"},
		{"relative home", func(s *Spec) { s.User.Home = "alice" }, "home"},
		{"kind of home", func(s *Spec) { s.Home = "privat" }, "did you mean private?"},
		{"kind of tmp", func(s *Spec) { s.Tmp = "none" }, "unknown kind of tmp"},
		{"device above /dev", func(s *Spec) { s.Devices = []string{"../etc/shadow"} }, "../etc/shadow"},
		{"unclean file", func(s *Spec) { s.Files[0].Path = "/etc/../etc/passwd" }, "not clean"},
		{"layer not absolute", func(s *Spec) { s.Layers[0].Source = "x" }, "not absolute"},
		{"capability", func(s *Spec) { s.Privileges.Capabilities = []string{"cap_chwon"} }, "did you mean cap_chown?"},
		{"seccomp", func(s *Spec) { s.Privileges.Seccomp = "strict" }, "known are default"},
		{"limit", func(s *Spec) { s.Limits[0].Name = "nofiles" }, "did you mean nofile?"},
		{"hostname without uts", func(s *Spec) { s.Namespaces.UTS = false }, "uts"},
		{"newline in the profile's name", func(s *Spec) { s.Profile = "a\nclass=trusted" }, "newline"},
		{"line below /proc", func(s *Spec) { s.Lines[0].Op = Bind{Source: "/srv", Target: "/proc/sys"} }, "below /proc"},
		{"line on /", func(s *Spec) { s.Lines[0].Op = Bind{Source: "/srv", Target: "/"} }, "the target"},
		{"line over the session's own", func(s *Spec) { s.Lines[0].Op = Unmount{LibDir} }, "holds up"},
		{"line over /dev", func(s *Spec) { s.Lines[0].Op = Mount{Type: "tmpfs", Target: "/dev"} }, "holds up"},
		{"line with an overlay", func(s *Spec) {
			s.Lines[0].Op = Overlay{Target: "/srv", Lowers: []Layer{{Kind: LayerDir, Source: "/"}}}
		}, "cannot do this"},
		{"line with an identity", func(s *Spec) { s.Lines[0].Op = Identity{} }, "cannot do this"},
		{"too much", func(s *Spec) {
			for range 6 {
				s.Files = append(s.Files, File{Path: "/x", Content: strings.Repeat("'", 100_000)})
			}
		}, "larger than 1 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := imageSpec()
			tt.edit(&s)
			p, err := Compile(s)
			if err == nil {
				t.Fatalf("compiled to\n%s", Print(p))
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want something with %q", err, tt.want)
			}
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrForbidden) {
				t.Errorf("%v is neither ErrInvalid nor ErrForbidden", err)
			}
		})
	}
}

func TestHomesOfSystemUsersHideNothing(t *testing.T) {
	for _, home := range []string{"/usr/sbin", "/bin", "/", "", "/nonexistent", "/var", "/dev"} {
		for _, kind := range []string{"shared", "private", "none"} {
			s := imageSpec()
			s.User.Home, s.Home = home, kind
			p, err := Compile(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, op := range p.Ops {
				if b, ok := op.(Bind); ok && b.Target == home {
					t.Errorf("home %q is bound", home)
				}
				if m, ok := op.(Mount); ok && m.Target == home && home != "/dev" {
					t.Errorf("home %q is mounted on", home)
				}
			}
		}
	}
}

func TestUppersOfOnePlanDiffer(t *testing.T) {
	s := hostSpec()
	s.HostMounts = []HostMount{{Path: "/a/b"}, {Path: "/a%2Fb"}, {Path: "/a"}, {Path: "/a@b"}, {Path: "/upper"}}
	s.Upper = &Upper{Dir: "/kept"}
	p, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, op := range p.Ops {
		if o, ok := op.(Overlay); ok {
			names = append(names, o.Upper.Name)
		}
	}
	slices.Sort(names)
	if len(names) != 6 || len(slices.Compact(names)) != 6 {
		t.Errorf("uppers are called %q", names)
	}
}

// TestWhatIsWrittenLiesAtItsPlace: the layer of another root's / is no layer of what is
// mounted below it, which has its own.
func TestWhatIsWrittenLiesAtItsPlace(t *testing.T) {
	s := hostSpec()
	host := s.Layers
	s.Layers = append([]Layer{{Kind: LayerUpper, Source: "/c/upper"}}, host...)
	s.HostMounts = []HostMount{{Path: "/opt"}}
	s.Parts = []Part{{Path: "/var", Top: []Layer{{Kind: LayerUpper, Source: "/c/@var/upper"}}, Layers: host, Flags: Flags{NoSuid: true}},
		{Path: "/srv", Top: []Layer{{Kind: LayerUpper, Source: "/c/@srv/upper"}}}, {Path: s.User.Home + "/x"}}
	p, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, op := range p.Ops {
		if o, ok := op.(Overlay); ok {
			for _, l := range o.Lowers {
				got[o.Target] = append(got[o.Target], l.Source+" "+l.Sub)
			}
		}
	}
	want := map[string][]string{"/": {"/c/upper ", "/ "}, "/opt": {"/ opt"}, "/var": {"/c/@var/upper ", "/ var"}, "/srv": {"/c/@srv/upper ", "/ srv"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	s.Parts[0].Top[0].Origin = 1000
	if len(Influences(s)) != 1 {
		t.Error("whose a layer of a part is does not count")
	}
}

func TestLinesInTheHomeActForTheUser(t *testing.T) {
	s := imageSpec()
	s.Lines = []Line{
		{Op: Bind{Source: "/home/alice/doc", Target: "/opt/doc"}},
		{Op: Mkdir{Path: "/home/alice/.cache", Mode: 0o700}},
		{Op: Mkdir{Path: "/opt/x", Mode: 0o755}},
	}
	p, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	if p.Class != Trusted {
		t.Fatalf("class %s", p.Class)
	}
	text := Print(p)
	for _, want := range []string{
		"bind -u /home/alice/doc /opt/doc\n",
		"mkdir /home/alice/.cache mode=0700 uid=1000 gid=1000\n",
		"mkdir /opt/x\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}
