package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/debian"
	"ninefold/roots/debian/testrepo"
	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/recipe/recipefile"
	"ninefold/roots/store"
	"ninefold/tests/needs"
)

type fields = map[string]string

// shell is a package with the machine's own /bin/sh and what it needs, so that
// commands can run in the images of these tests.
func shell(t testing.TB) testrepo.Deb {
	t.Helper()
	d := testrepo.Deb{Name: "dash", Fields: fields{"Essential": "yes"}}
	for _, name := range []string{"/bin/sh", "/usr/bin/env", "/bin/sleep", "/bin/mv", "/bin/rm", "/bin/chmod", "/bin/mkdir", "/bin/ln"} {
		at, err := filepath.EvalSymlinks(name)
		if err != nil {
			needs.Lacks(t, err.Error())
		}
		out, err := exec.Command("ldd", at).CombinedOutput()
		if err != nil {
			needs.Lacks(t, "ldd "+at+": "+string(out))
		}
		add := func(to, from string) {
			for _, f := range d.Files {
				if f.Path == to {
					return
				}
			}
			b, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			d.Files = append(d.Files, testrepo.File{Path: to, Mode: 0o755, Text: string(b)})
		}
		add("usr/bin/"+filepath.Base(name), at)
		for _, w := range strings.Fields(string(out)) {
			if !strings.HasPrefix(w, "/") {
				continue
			}
			to := strings.TrimPrefix(w, "/")
			if !strings.HasPrefix(to, "usr/") {
				to = "usr/" + to
			}
			add(to, w)
		}
	}
	return d
}

func baseDebs(t testing.TB) []testrepo.Deb {
	return []testrepo.Deb{
		shell(t),
		{Name: "base-files", Fields: fields{"Essential": "yes"}, Files: []testrepo.File{
			{Path: "usr/share/base-files/profile", Text: "# profile\n"}, {Path: "etc/ld.so.conf", Text: "/usr/lib/x86_64-linux-gnu\n"}}},
		{Name: "base-passwd", Fields: fields{"Essential": "yes"}, Files: []testrepo.File{
			{Path: "usr/share/base-passwd/passwd.master", Text: "root::0:0:root:/root:/bin/sh\n"},
			{Path: "usr/share/base-passwd/group.master", Text: "root:*:0:\nshadow:*:42:\n"}}},
		{Name: "dpkg", Fields: fields{"Essential": "yes"}, Files: []testrepo.File{{Path: "usr/bin/dpkg", Text: "#!/bin/sh\n", Mode: 0o755}}},
		{Name: "tool", Files: []testrepo.File{{Path: "usr/share/tool/a", Text: "a"}, {Path: "usr/share/tool/sub/b", Text: "b"}, {Path: "usr/share/tool/doomed", Text: "d"}}},
		{Name: "icons", Files: []testrepo.File{{Path: "usr/share/icons/T/index.theme", Text: "[Icon Theme]\n"}, {Path: "usr/share/icons/T/16/x.png", Text: "x"}}},
		{Name: "daemon", Files: []testrepo.File{{Path: "usr/lib/sysusers.d/daemon.conf", Text: "u daemond - \"A daemon\" /var/lib/daemond\n"}}},
		{Name: "rival", Files: []testrepo.File{{Path: "usr/share/tool/a", Text: "another a"}}},
		{Name: "app", Fields: fields{"Depends": "icons"}, Files: []testrepo.File{{Path: "usr/share/applications/app.desktop", Text: "[Desktop Entry]\nMimeType=text/plain;\n"}}},
	}
}

// world is an archive, its recipes, and a way to build from them.
type world struct {
	t       testing.TB
	repo    *testrepo.Repository
	debs    []testrepo.Deb
	recipes string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	needs.Root(t)
	needs.Programs(t, "apt-get")
	w := &world{t: t, debs: baseDebs(t), recipes: t.TempDir()}
	w.repo = testrepo.New(t, "trixie", debian.Arch(), w.debs...)
	w.recipe("base", `packages = ["tool"]
[source]
suite = "trixie"
mirror = "`+w.repo.URL()+`"
keyring = "`+w.repo.Keyring+`"
[environment]
LANG = "C.UTF-8"
`)
	w.recipe("mid", "from = \"base\"\npackages = [\"icons\", \"daemon\"]\n[environment]\nMID = \"1\"\n")
	w.recipe("top", "from = \"mid\"\npackages = [\"app\"]\n"+topFinish)
	return w
}

const topFinish = `[finish]
run = ["echo made > /etc/made; rm /usr/share/tool/doomed", "mv /usr/share/tool/sub /usr/share/tool/moved; chmod 700 /usr/share/tool/a"]
`

func (w *world) recipe(name, text string) {
	w.t.Helper()
	text = "version = 1\nname = \"" + name + "\"\n" + text
	if err := os.WriteFile(filepath.Join(w.recipes, name+".toml"), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// config is a state of its own over shared locks.
func (w *world) config(state, locks string) Config {
	w.t.Helper()
	s, err := store.Open(filepath.Join(state, "store"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	set, err := recipefile.Load(w.recipes)
	if err != nil {
		w.t.Fatal(err)
	}
	init, err := filepath.Abs("../../bin")
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(init, "ninefold-init")); err != nil {
		w.t.Fatalf("%v (make build)", err)
	}
	best, _ := driver.Probe(w.t.TempDir())
	if best == nil {
		needs.Lacks(w.t, "no driver works on this machine")
	}
	return Config{Store: s, Driver: best, Recipes: set, Locks: []string{locks}, State: state, InitDir: init}
}

func (w *world) build(c Config, name string, o Options) *Result {
	w.t.Helper()
	r, err := Build(context.Background(), c, name, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// inside runs a shell command in an image and returns what it printed.
func inside(t testing.TB, c Config, id image.ID, command string) string {
	t.Helper()
	layers, err := c.Driver.Layers(c.Store, id, driver.Full)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &plan.Plan{Class: plan.Trusted, Ops: []plan.Op{
		plan.Namespaces{PID: true, IPC: true, Net: plan.NetNone, User: plan.UserHost},
		plan.Overlay{Target: "/", Lowers: layers, Upper: &plan.Upper{Size: 16 << 20}},
		plan.Mount{Type: "proc", Target: "/proc"},
		plan.Mount{Type: "tmpfs", Target: "/run"},
		plan.Bind{Source: c.InitDir, Target: filepath.Dir(namespaces.InitPath), Flags: plan.Flags{ReadOnly: true}},
		plan.Environment{Name: "PATH", Value: "/usr/bin"},
		plan.Identity{},
	}}
	status, err := namespaces.Run(context.Background(), p, namespaces.Command{Argv: []string{"/bin/sh", "-c", command}, Stdout: out, Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil || status.Code != 0 {
		t.Fatalf("%s: status %d, %v: %s", command, status.Code, err, text)
	}
	return string(text)
}
