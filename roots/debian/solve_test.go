package debian

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/debian/testrepo"
	"ninefold/roots/lock"
	"ninefold/roots/recipe"
	"ninefold/tests/needs"
)

func needApt(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		needs.Lacks(t, "apt-get is not installed")
	}
}

type fields = map[string]string

var world = []testrepo.Deb{
	{Name: "base-files", Fields: fields{"Essential": "yes", "Pre-Depends": "awk"}},
	{Name: "libc6", Version: "2.41-1", Arch: Arch(), Fields: fields{"Multi-Arch": "same"}},
	{Name: "bash", Version: "5.2-1+b1", Arch: Arch(), Fields: fields{"Essential": "yes", "Depends": "libc6 (>= 2.40)"}},
	{Name: "mawk", Fields: fields{"Provides": "awk"}},
	{Name: "gawk", Version: "1:5", Fields: fields{"Provides": "awk"}},
	{Name: "desk", Fields: fields{"Depends": "libc6, awk, panel | other-panel", "Recommends": "wallpaper"}},
	{Name: "panel"},
	{Name: "wallpaper"},
	{Name: "firefox-esr"},
	{Name: "needs-new", Fields: fields{"Depends": "libc6 (>= 3)"}},
	{Name: "quarrel", Fields: fields{"Conflicts": "panel"}},
	{Name: "g++"},
}

// question asks for packages of repo, on top of parents.
func question(repo *testrepo.Repository, packages []string, parents ...*lock.Lock) lock.Question {
	q := lock.Question{
		Recipe: "test", Arch: repo.Arch, Root: len(parents) == 0, Packages: packages, Suite: repo.Suite,
		Components: []string{"main"}, Mirror: repo.URL(), Keyring: repo.Keyring,
	}
	for _, l := range parents {
		q.Parent = append(q.Parent, l.Packages...)
	}
	return q
}

func names(l *lock.Lock) string {
	var out []string
	for _, p := range l.Packages {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestSolve(t *testing.T) {
	needApt(t)
	repo := testrepo.New(t, "trixie", Arch(), world...)
	t.Chdir(t.TempDir())
	o := Options{Dir: "apt"}
	solve := func(q lock.Question, want string) *lock.Lock {
		t.Helper()
		l, err := Solve(context.Background(), q, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(l); got != want {
			t.Errorf("for %v the answer is %q, want %q", q.Packages, got, want)
		}
		if err := l.Check(q); err != nil {
			t.Error(err)
		}
		return l
	}
	base := solve(question(repo, []string{"mawk"}), "base-files bash libc6 mawk")
	if p := base.Packages[1]; p.Version != "5.2-1+b1" || p.Arch != Arch() || !p.Essential || p.URL != "pool/main/bash/bash_5.2-1+b1_"+Arch()+".deb" {
		t.Errorf("bash is locked as %+v", p)
	}
	if base.Source.Mirror != repo.URL() || base.Source.Date != repo.Date.Unix() || len(base.Source.SignedBy) != 1 {
		t.Errorf("the source is locked as %+v", base.Source)
	}
	// A child holds only what the parent lacks; mawk is awk enough.
	solve(question(repo, []string{"desk"}, base), "desk panel")
	q := question(repo, []string{"desk"}, base)
	q.Recommends = true
	solve(q, "desk panel wallpaper")
	solve(question(repo, []string{"g++", "bash"}, base), "g++")
	solve(question(repo, []string{"gawk=1:5"}, base), "gawk")
	solve(question(repo, nil, base), "")

	// Nothing of the private roots is left.
	left, _ := filepath.Glob(filepath.Join(o.Dir, "root-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSolveErrors(t *testing.T) {
	needApt(t)
	repo := testrepo.New(t, "trixie", Arch(), world...)
	o := Options{Dir: t.TempDir()}
	base, err := Solve(context.Background(), question(repo, []string{"mawk"}), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		packages string
		want     error
		text     string
	}{
		{"firefox", ErrNoPackage, "firefox (did you mean firefox-esr?)"},
		{"wallpapr nothing-alike", ErrNoPackage, "wallpapr (did you mean wallpaper?); nothing-alike"},
		{"awk", ErrNoPackage, "awk (name one that provides it: gawk, mawk)"},
		{"panel=2", ErrNoPackage, "panel=2 (it has panel 1.0)"},
		{"needs-new", ErrUnsatisfiable, "needs-new : Depends: libc6 (>= 3)"},
		{"quarrel panel", ErrUnsatisfiable, "quarrel : Conflicts: panel"},
	} {
		_, err := Solve(context.Background(), question(repo, strings.Fields(tt.packages), base), o)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %v", tt.packages, err)
		}
	}
	q := question(repo, []string{"bash"})
	q.Suite = ""
	if _, err := Solve(context.Background(), q, o); !errors.Is(err, ErrNoSource) {
		t.Errorf("got %v", err)
	}
	q = question(repo, []string{"bash"})
	q.Components = []string{"non-free"}
	if _, err := Solve(context.Background(), q, o); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "non-free") {
		t.Errorf("got %v", err)
	}
	q.Mirror = "file:///nowhere"
	if _, err := Solve(context.Background(), q, o); !errors.Is(err, ErrGone) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Solve(ctx, question(repo, []string{"bash"}), o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestSolveAfterTheArchiveMovedOn(t *testing.T) {
	needApt(t)
	repo := testrepo.New(t, "trixie", Arch(), world...)
	o := Options{Dir: t.TempDir()}
	base, err := Solve(context.Background(), question(repo, []string{"mawk"}), o)
	if err != nil {
		t.Fatal(err)
	}
	moved := slices.Clone(world)
	for i := range moved {
		if moved[i].Name == "libc6" || moved[i].Name == "mawk" {
			moved[i].Version = "3.0-1"
		}
	}
	repo.Publish(t, moved...)
	// What works with the parent's versions leaves them alone, although the
	// archive does not have them any more.
	l, err := Solve(context.Background(), question(repo, []string{"desk"}, base), o)
	if err != nil || names(l) != "desk panel" {
		t.Fatalf("got %v, %v", l, err)
	}
	_, err = Solve(context.Background(), question(repo, []string{"needs-new"}, base), o)
	if !errors.Is(err, ErrReplacesParent) || !strings.Contains(err.Error(), "libc6 2.41-1 by 3.0-1") {
		t.Errorf("got %v", err)
	}
}

func chain(t *testing.T, texts ...string) recipe.Chain {
	t.Helper()
	var c recipe.Chain
	for _, text := range texts {
		r, err := recipe.Parse("r.toml", []byte("version = 1\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		c = append(c, r)
	}
	return c
}

func TestNewQuestion(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("etc/apt/sources.list", "deb http://deb.debian.org/debian bookworm main\n")
	write("status", "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\n\nPackage: old\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n")
	status := filepath.Join(root, "status")

	q, err := newQuestion(chain(t, "name = \"tools\"\nfrom = \"host\"\npackages = [\"git\"]"), nil, root, status)
	if err != nil {
		t.Fatal(err)
	}
	if !q.Host || q.Root || q.Suite != "bookworm" || len(q.Parent) != 1 || q.Parent[0].Name != "libc6" {
		t.Errorf("on the host the question is %+v", q)
	}
	base := "name = \"base\"\n[source]\nsuite = \"trixie\""
	q, err = newQuestion(chain(t, base), nil, root, status)
	if err != nil || !q.Root || !q.Updates || q.Recommends || len(q.Parent) != 0 {
		t.Errorf("for a root the question is %+v, %v", q, err)
	}
	l := &lock.Lock{Packages: []lock.Package{{Name: "bash", Version: "1"}}}
	q, err = newQuestion(chain(t, base, "name = \"x\"\nfrom = \"base\"\n[source]\nrecommends = true"), []*lock.Lock{l}, root, status)
	if err != nil || q.Root || q.Suite != "trixie" || !q.Recommends || len(q.Parent) != 1 {
		t.Errorf("for a child the question is %+v, %v", q, err)
	}
	if _, err := newQuestion(chain(t, base), []*lock.Lock{l}, root, status); err == nil {
		t.Error("a lock too many was taken")
	}
	if _, err := newQuestion(chain(t, "name = \"tools\"\nfrom = \"host\""), nil, root, status+"-absent"); !errors.Is(err, ErrNoApt) {
		t.Errorf("got %v", err)
	}
}

// On the host, what lies over it may be newer than what it has.
func TestSolveOnHost(t *testing.T) {
	needApt(t)
	repo := testrepo.New(t, "trixie", Arch(), world...)
	q := question(repo, []string{"desk"}, &lock.Lock{Packages: []lock.Package{{Name: "libc6", Version: "1.0", Arch: Arch()}, {Name: "mawk", Version: "9", Arch: "all", Provides: "awk"}}})
	q.Host = true
	l, err := Solve(context.Background(), q, Options{Dir: t.TempDir()})
	if err != nil || names(l) != "desk panel" {
		t.Fatalf("got %v, %v", l, err)
	}
	q.Packages = []string{"bash"}
	l, err = Solve(context.Background(), q, Options{Dir: t.TempDir()})
	if err != nil || names(l) != "bash libc6" {
		t.Fatalf("got %v, %v", l, err)
	}
}
