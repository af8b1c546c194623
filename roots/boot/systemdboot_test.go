package boot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// variable writes a firmware variable.
func variable(t *testing.T, dir, name, text string) {
	t.Helper()
	b := []byte{7, 0, 0, 0}
	for _, c := range []byte(text + "\x00") {
		b = append(b, c, 0)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+loaderVendor), b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestSystemdBootIsKnownByItsVariable(t *testing.T) {
	dir := t.TempDir()
	if bootedBySystemdBoot(dir) {
		t.Error("known without the variable")
	}
	variable(t, dir, "LoaderInfo", "systemd-boot 257.9-1")
	if !bootedBySystemdBoot(dir) {
		t.Error("not known")
	}
}

func TestSystemdBootCountsInTheName(t *testing.T) {
	s := systemdBoot{dir: t.TempDir(), variables: t.TempDir(), run: func(_ context.Context, name string, args ...string) ([]byte, error) {
		return nil, errors.New("nothing is to be run")
	}}
	e := entry{title: "Ninefold: x", kernel: s.dir + "/ninefold/linux", initrd: s.dir + "/ninefold/initrd", line: "root=x", at: mount{Root: "/", Target: s.dir}, stays: true}
	if err := errors.Join(s.entry(e), s.arm(e, 3)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(s.entries(), "ninefold+3.conf")
	text, err := os.ReadFile(name)
	if want := "title Ninefold: x\nsort-key 00-ninefold\nlinux /ninefold/linux\ninitrd /ninefold/initrd\noptions root=x\n"; err != nil || string(text) != want {
		t.Errorf("%v\n%s\nnot\n%s", err, text, want)
	}
	for _, c := range []struct {
		name   string
		left   int
		always bool
	}{{"ninefold+3.conf", 3, false}, {"ninefold+2-1.conf", 2, false}, {"ninefold+0-3.conf", 0, false}, {"ninefold.conf", 0, true}} {
		to := filepath.Join(s.entries(), c.name)
		if err := os.Rename(name, to); err != nil {
			t.Fatal(err)
		}
		name = to
		if left, always, err := s.left(); left != c.left || always != c.always || err != nil {
			t.Errorf("%s: %d, %v, %v", c.name, left, always, err)
		}
	}
	other := filepath.Join(s.entries(), "ninefold-of-others.conf")
	if err := errors.Join(os.WriteFile(other, nil, 0o644), s.disarm()); err != nil {
		t.Fatal(err)
	}
	if list, err := filepath.Glob(s.entries() + "/*"); err != nil || !slices.Equal(list, []string{other}) {
		t.Errorf("left are %v, %v", list, err)
	}
}

func TestSystemdBootIsToldOfOneStart(t *testing.T) {
	var said []string
	s := systemdBoot{dir: t.TempDir(), variables: t.TempDir(), run: func(_ context.Context, name string, args ...string) ([]byte, error) {
		said = append(said, name+" "+strings.Join(args, " "))
		return nil, nil
	}}
	e := entry{at: mount{Target: s.dir}}
	if err := errors.Join(s.entry(e), s.arm(e, 1)); err != nil {
		t.Fatal(err)
	}
	if left, _, err := s.left(); left != 0 || err != nil {
		t.Errorf("%d, %v: the firmware was not told, or forgot", left, err)
	}
	variable(t, s.variables, "LoaderEntryOneShot", "-ninefold.conf")
	if left, _, err := s.left(); left != 1 || err != nil {
		t.Errorf("%d, %v", left, err)
	}
	if err := s.disarm(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"bootctl set-oneshot -- -ninefold.conf", "bootctl set-oneshot "}; !slices.Equal(said, want) {
		t.Errorf("%q, not %q", said, want)
	}
}

func TestAnotherDefaultIsNotPassedOver(t *testing.T) {
	s := systemdBoot{dir: t.TempDir(), variables: t.TempDir()}
	if err := s.stay(); err != nil {
		t.Error(err)
	}
	conf := filepath.Join(s.dir, "loader/loader.conf")
	if err := errors.Join(os.MkdirAll(filepath.Dir(conf), 0o755), os.WriteFile(conf, []byte("timeout 3\n#default x\n"), 0o644), s.stay()); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(conf, []byte("default debian-*\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.stay(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("loader.conf: %v", err)
	}
	variable(t, s.variables, "LoaderEntryDefault", "debian.conf")
	if err := s.stay(); err == nil || !strings.Contains(err.Error(), "debian.conf") {
		t.Errorf("the variable: %v", err)
	}
}
