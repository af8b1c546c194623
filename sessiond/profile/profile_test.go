package profile

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ninefold/internal/tomlfile"
	"ninefold/namespaces/plan"
)

func TestDefaults(t *testing.T) {
	p, err := Parse("a.toml", []byte("version = 1"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "a" || p.Base != "host" || p.Compose != "auto" || p.Home != "shared" || p.Tmp != "private" ||
		p.Keep.Root != "no" || !p.Project.CA || p.Project.Fonts || !p.Project.Identity {
		t.Errorf("defaults are %+v", p)
	}
}

func TestEveryKeyReachesThePlan(t *testing.T) {
	p, err := Parse("dev.toml", []byte(`
version = 1
name = "dev"
summary = "s"
base = "debian-base"
runtime = "xfce"
components = ["thunar", "xterm"]
compose = "full"
home = "private"
tmp = "shared"
devices = ["dri", "snd/seq"]
command = ["bash", "-l"]
namespace = """
bind -r /srv/$user /n/$profile
env WHERE $home
"""
[environment]
B = "2"
A = "1"
[limits]
memory = "2G"
core = "unlimited"
nofile = 4096
[isolation]
pid = true
ipc = true
uts = true
cgroup = true
net = "none"
user = "mapped"
hostname = "box"
seccomp = "default"
capabilities = ["cap_net_raw", "cap_chown", "cap_chown"]
no_new_privs = true
[keep]
size = "1g"
[project]
identity = false
fonts = true
`))
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Spec{User: plan.User{Name: "eve", UID: 5, GID: 6, Home: "/home/eve"}, Environment: []plan.Environment{{Name: "LANG", Value: "C"}}}
	if err := p.Fill(&s); err != nil {
		t.Fatal(err)
	}
	want := plan.Spec{
		Profile: "dev", User: s.User, Home: "private", Tmp: "shared", Devices: []string{"dri", "snd/seq"},
		Upper: &plan.Upper{Size: 1 << 30},
		Namespaces: plan.Namespaces{PID: true, IPC: true, UTS: true, Cgroup: true, Net: plan.NetNone,
			User: plan.UserMapped, Hostname: "box"},
		Privileges: plan.Privileges{Capabilities: []string{"cap_chown", "cap_net_raw"}, NoNewPrivs: true, Seccomp: "default"},
		Limits:     []plan.Limit{{Name: "core", Value: plan.Unlimited}, {Name: "memory", Value: 2 << 30}, {Name: "nofile", Value: 4096}},
		Lines: []plan.Line{
			{Op: plan.Bind{Source: "/srv/eve", Target: "/n/dev", Flags: plan.Flags{ReadOnly: true}}},
			{Op: plan.Environment{Name: "WHERE", Value: "/home/eve"}},
		},
		Environment: []plan.Environment{{Name: "LANG", Value: "C"}, {Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	if p.Project.Identity || !p.Project.Fonts || p.Command[1] != "-l" || p.Components[1] != "xterm" {
		t.Errorf("read as %+v", p)
	}
}

func TestCapabilities(t *testing.T) {
	for text, want := range map[string]int{
		"": len(defaultCapabilities), "capabilities = []": 0, `capabilities = ["all"]`: len(plan.Capabilities()),
		`capabilities = ["default", "cap_sys_ptrace"]`: len(defaultCapabilities) + 1,
	} {
		p, err := Parse("a.toml", []byte("version = 1\n[isolation]\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Isolation.capabilities(); len(got) != want {
			t.Errorf("%q gives %d: %q", text, len(got), got)
		}
	}
}

func TestCheckFindings(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no version", "name = \"a\"", "a.toml: the key version is missing"},
		{"newer", "version = 2", "a.toml:1:1: version is 2"},
		{"unknown key", "version = 1\n[isolation]\npidd = true", `a.toml:3:1: unknown key "pidd" in [isolation]; did you mean "pid"?`},
		{"other name", "version = 1\nname = \"b\"", `a.toml:2:1: name is "b" and the file is called a.toml`},
		{"bad name", "version = 1\nname = \"A b\"", "a.toml:2:1: name \"A b\": a name has small letters"},
		{"empty base", "version = 1\nbase = \"\"", "a.toml:2:1: base is empty"},
		{"base with a path", "version = 1\nbase = \"../x\"", "a.toml:2:1: base \"../x\" is not the name"},
		{"runtime host", "version = 1\nruntime = \"host\"", "a.toml:2:1: runtime \"host\""},
		{"component", "version = 1\ncomponents = [\"x\",\n \"Y\"]", "a.toml:3:2: component \"Y\""},
		{"device", "version = 1\ndevices = [\"/dev/dri\"]", "a.toml:2:12: device \"/dev/dri\""},
		{"device outside", "version = 1\ndevices = [\"../etc\"]", "device \"../etc\""},
		{"choice", "version = 1\nhome = \"privat\"", `a.toml:2:1: home is "privat"; did you mean "private"?`},
		{"choice in table", "version = 1\n[isolation]\nnet = \"lan\"", `a.toml:3:1: net is "lan"; known are ["host" "none"]`},
		{"compose alone", "version = 1\ncompose = \"full\"", "the profile has no runtime"},
		{"hostname", "version = 1\n[isolation]\nhostname = \"box\"", "a.toml:3:1: hostname needs a uts namespace"},
		{"hostname's form", "version = 1\n[isolation]\nuts = true\nhostname = \"-b\"", "a.toml:4:1: hostname \"-b\""},
		{"capability", "version = 1\n[isolation]\ncapabilities = [\"cap_chwon\"]", `unknown capability "cap_chwon"; did you mean "cap_chown"?`},
		{"size", "version = 1\n[keep]\nsize = \"50%\"", "a.toml:3:1: size \"50%\" is no size"},
		{"small size", "version = 1\n[keep]\nsize = \"1K\"", "is not between"},
		{"size overflow", "version = 1\n[keep]\nsize = \"99999999999T\"", "is no size"},
		{"size of a kept layer", "version = 1\n[keep]\nroot = \"user\"\nsize = \"1G\"", "a.toml:4:1: size bounds a layer in memory"},
		{"limit", "version = 1\n[limits]\nnofiles = 1", `a.toml:3:1: unknown limit "nofiles"; did you mean "nofile"?`},
		{"limit's value", "version = 1\n[limits]\nnofile = -1", "a.toml:3:1: nofile: -1 is neither"},
		{"limit's type", "version = 1\n[limits]\nnofile = [1]", "a.toml:3:1: nofile: [1] is neither"},
		{"variable", "version = 1\n[environment]\n\"A-B\" = \"\"", `a.toml:3:1: environment: "A-B"`},
		{"command", "version = 1\ncommand = [\"\"]", "a.toml:2:12: command"},
		{"both namespaces", "version = 1\nnamespace = \"cd /\"\nnamespace_file = \"x\"", "a.toml:3:1: namespace and namespace_file exclude"},
		{"line", "version = 1\nnamespace = \"bnid /a /b\"", "a.toml:2:1: unknown verb bnid; did you mean bind?"},
		{"later line", "version = 1\nnamespace = \"\"\"\ncd /\n\nbind /a\n\"\"\"", "a.toml:5:1: bind: the word TARGET is missing"},
		{"line in literal string", "version = 1\nnamespace = '''cd /\nbind $hoem /n/a'''", "a.toml:3:1: unknown variable $hoem; did you mean home?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Check("a.toml", []byte(tt.text))
			if len(got) != 1 || !strings.HasPrefix(got[0].Error(), "a.toml:") || !strings.Contains(got[0].Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", got, tt.want)
			}
			if _, err := Parse("a.toml", []byte(tt.text)); !errors.Is(err, ErrInvalid) {
				t.Errorf("%v is not ErrInvalid", err)
			}
		})
	}
}

func TestCheckReportsEverything(t *testing.T) {
	got := Check("a.toml", []byte("home = \"x\"\ntmp = \"y\"\n[keep]\nroot = \"z\"\nsize = \"q\""))
	if len(got) != 5 {
		t.Fatalf("got %d findings:\n%v", len(got), got)
	}
	for i, line := range []int{0, 1, 2, 4, 5} {
		if got[i].Line != line {
			t.Errorf("finding %d is on line %d, want %d: %v", i, got[i].Line, line, got[i])
		}
	}
}

func TestNewIsValid(t *testing.T) {
	for _, tt := range [][3]string{{"a", "", ""}, {"b", "debian-base", "xfce"}} {
		text, err := New(tt[0], tt[1], tt[2])
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(tt[0]+".toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if p.Runtime != tt[2] || tt[1] != "" && p.Base != tt[1] {
			t.Errorf("%+v", p)
		}
	}
	if _, err := New("Bad", "", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// What the template calls a default is one: with every comment taken off, but
// for the examples, the profile says what an empty one says.
func TestTemplateShowsTheDefaults(t *testing.T) {
	var lines []string
	for _, line := range strings.Split(template, "\n") {
		line = strings.NewReplacer("@NAME@", `"a"`, "@SUMMARY@", `""`, "@BASE@", `"host"`, "@RUNTIME@", "").Replace(line)
		if key, ok := strings.CutPrefix(line, "# "); ok && (strings.HasPrefix(key, "[") || strings.Contains(key, " = ")) {
			line = key
		}
		example := []string{"components", "devices", "command", "namespace", "hostname", "size", "memory", "tasks", "nofile", "EDITOR"}
		skip := strings.HasPrefix(line, "bind") || line == `"""`
		for _, e := range example {
			skip = skip || strings.HasPrefix(line, e+" = ")
		}
		if !skip {
			lines = append(lines, line)
		}
	}
	got, err := Parse("a.toml", []byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatalf("%v in\n%s", err, strings.Join(lines, "\n"))
	}
	want, err := Parse("a.toml", []byte("version = 1\n[limits]\n[environment]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The profiles that come with the project are valid.
func TestShippedProfiles(t *testing.T) {
	files, err := filepath.Glob("../../profiles/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no profiles: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range Check(file, data) {
			t.Error(e)
		}
	}
}

func FuzzParse(f *testing.F) {
	text, err := New("a", "debian-base", "xfce")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("version = 1\nnamespace = \"\"\"\nbind $home /n/x\n\"\"\"\n[limits]\nmemory = \"2G\"\ncore = 0")
	f.Add("version = 1\n[isolation]\ncapabilities = [\"all\"]\n[environment]\nA = \"b\"\ncommand = [\"x\"]")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("a.toml", []byte(text))
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, tomlfile.ErrTooLarge) {
				t.Errorf("%v is not ErrInvalid", err)
			}
			return
		}
		// What Parse lets through compiles, or only its lines are to blame.
		s := plan.Spec{User: anybody, Layers: []plan.Layer{{Kind: plan.LayerDir, Source: "/"}}}
		if err := p.Fill(&s); err != nil {
			t.Fatalf("fill: %v", err)
		}
		if _, err := plan.Compile(s); err != nil && len(s.Lines) == 0 {
			t.Fatalf("compile: %v", err)
		}
	})
}

func TestIsImage(t *testing.T) {
	for s, want := range map[string]bool{
		"gaming": true, "steve/gaming:2026-11": true, "localhost:5000/a/b:T": true, "a@sha256:" + strings.Repeat("0", 64): true,
		"": false, "../x": false, "a/": false, "/a": false, "a/../b": false, "a:": false, "a b": false, "a/b:c/d": false, "a:b:c": false, "a%b": false, "a@b": false,
	} {
		if IsImage(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
