package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ninefold/roots/deb"
	"ninefold/roots/debian"
	"ninefold/roots/debian/testrepo"
	"ninefold/roots/image"
	"ninefold/roots/lock"
)

func TestSameLocksSameImages(t *testing.T) {
	w := newWorld(t)
	locks := t.TempDir()
	first := w.config(t.TempDir(), locks)
	a := w.build(first, "top", Options{})
	second := w.config(t.TempDir(), locks)
	b := w.build(second, "top", Options{})
	if len(a.Images) != 3 || len(b.Images) != 3 {
		t.Fatalf("%+v and %+v", a.Images, b.Images)
	}
	for i := range a.Images {
		if a.Images[i].ID != b.Images[i].ID {
			t.Errorf("%s is %s and %s", a.Images[i].Name, a.Images[i].ID, b.Images[i].ID)
		}
		if !a.Images[i].Locked || b.Images[i].Locked {
			t.Errorf("%s: locked anew is %t and %t", a.Images[i].Name, a.Images[i].Locked, b.Images[i].Locked)
		}
	}
	again := w.build(second, "top", Options{Offline: true})
	for _, i := range again.Images {
		if !i.Unchanged {
			t.Errorf("%s was built again", i.Name)
		}
	}
	if again.ID != b.ID {
		t.Error("the second build gives another image")
	}
	if id, err := second.Store.Resolve("top"); err != nil || id != b.ID {
		t.Errorf("the tag is %s, %v", id, err)
	}

	// What the steps, the recipe's commands and the packages made is all there.
	got := inside(t, second, b.ID, `read m < /etc/made; echo "$m"
		[ ! -e /usr/share/tool/doomed ] && [ ! -e /usr/share/tool/sub ] && read x < /usr/share/tool/moved/b; echo "moved $x"
		while read l; do case $l in daemond*) echo "$l";; esac; done < /etc/passwd
		while read l; do case $l in text*) echo "$l";; esac; done < /usr/share/applications/mimeinfo.cache
		while read l; do case $l in Package*) echo "$l";; esac; done < /var/lib/dpkg/status
		[ -s /usr/share/icons/T/icon-theme.cache ] && [ -s /etc/ld.so.cache ] && [ -e /etc/machine-id ] && [ ! -s /etc/machine-id ] && echo caches`)
	want := "made\nmoved b\ndaemond:x:100:100:A daemon:/var/lib/daemond:/usr/sbin/nologin\ntext/plain=app.desktop;\n" +
		"Package: app\nPackage: base-files\nPackage: base-passwd\nPackage: daemon\nPackage: dash\nPackage: dpkg\nPackage: icons\nPackage: tool\ncaches\n"
	if got != want {
		t.Errorf("inside is\n%s\nwant\n%s", got, want)
	}
	m, err := second.Store.Image(b.ID)
	if err != nil || m.Environment["LANG"] != "C.UTF-8" || m.Environment["MID"] != "1" {
		t.Errorf("environment %v, %v", m.Environment, err)
	}
	if damage, err := second.Store.Verify(context.Background()); err != nil || len(damage) > 0 {
		t.Errorf("verify: %v, %v", damage, err)
	}
	images, err := second.Store.Images()
	if err != nil || len(images) != 3 {
		t.Errorf("%d images in the store, %v: unfinished ones are left", len(images), err)
	}
	if left, _ := os.ReadDir(filepath.Join(second.Store.Dir(), "tmp")); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestOneChangedPackageRerunsWhatReadsIt(t *testing.T) {
	w := newWorld(t)
	c := w.config(t.TempDir(), t.TempDir())
	w.recipe("desk", "from = \"base\"\npackages = [\"app\", \"daemon\"]\n")
	c = w.config(c.State, c.Locks[0])
	before := w.build(c, "desk", Options{})
	// A collection in between must not cost the results of the steps.
	if _, err := c.Store.GC(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i := range w.debs {
		if w.debs[i].Name == "icons" {
			w.debs[i].Version = "2"
			w.debs[i].Files = append(w.debs[i].Files, testrepo.File{Path: "usr/share/icons/T/16/y.png", Text: "y"})
		}
	}
	w.repo.Publish(t, w.debs...)
	r := w.build(c, "desk", Options{Relock: true})
	if r.ID == before.ID || !r.Images[0].Unchanged {
		t.Errorf("ids %s and %s, base unchanged is %t", before.ID.Short(), r.ID.Short(), r.Images[0].Unchanged)
	}
	desk := r.Images[1]
	if desk.Converted != 1 {
		t.Errorf("%d packages were converted", desk.Converted)
	}
	var ran []string
	for _, s := range desk.Steps {
		if !s.Cached {
			ran = append(ran, s.Step)
		}
	}
	if !slices.Equal(ran, []string{"icons", "dpkg"}) {
		t.Errorf("ran %q", ran)
	}
}

func TestWhatCannotBeBuilt(t *testing.T) {
	w := newWorld(t)
	w.recipe("clash", "from = \"base\"\npackages = [\"rival\"]\n")
	w.recipe("missing", "from = \"base\"\npackages = [\"icon\"]\n")
	w.recipe("badstep", "from = \"base\"\n[finish]\nsteps = [\"ldconfg\"]\n")
	w.recipe("badrun", "from = \"base\"\n[finish]\nrun = [\"echo the reason >&2; exit 3\"]\n")
	w.recipe("scripted", "from = \"base\"\npackages = [\"odd\"]\n")
	w.debs = append(w.debs, testrepo.Deb{Name: "odd", Files: []testrepo.File{{Path: "usr/share/odd", Text: "o"}},
		Control: map[string]string{"postinst": "#!/bin/sh\nsetcap \"$(cat /etc/x)\" /usr/bin/odd\n"}})
	w.repo.Publish(t, w.debs...)
	c := w.config(t.TempDir(), t.TempDir())
	for name, check := range map[string]struct {
		err   error
		words []string
	}{
		"clash":    {image.ErrConflict, []string{"rival", "tool", "/usr/share/tool/a"}},
		"missing":  {debian.ErrNoPackage, []string{"icon", "icons"}},
		"badstep":  {nil, []string{"ldconfg", "ldconfig", "badstep.toml"}},
		"badrun":   {nil, []string{"finishing step run", "status 3", "the reason"}},
		"scripted": {deb.ErrUndeclared, []string{"odd", "postinst"}},
	} {
		_, err := Build(context.Background(), c, name, Options{})
		if err == nil || check.err != nil && !errors.Is(err, check.err) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, word := range check.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not name %q", name, err, word)
			}
		}
	}
	if tags, _ := c.Store.Tags(); len(tags) != 1 {
		t.Errorf("tags %v: something that failed has a name", tags)
	}
	// A failure spoils nothing.
	w.build(c, "top", Options{})
}

func TestLocksAreKept(t *testing.T) {
	w := newWorld(t)
	c := w.config(t.TempDir(), t.TempDir())
	before := w.build(c, "base", Options{})
	// A newer version in the archive changes nothing.
	for i := range w.debs {
		if w.debs[i].Name == "base-files" {
			w.debs[i].Version = "9"
		}
	}
	w.repo.Publish(t, w.debs...)
	if r := w.build(c, "base", Options{}); r.ID != before.ID {
		t.Error("a lock was not kept")
	}
	w.recipe("mid", "from = \"base\"\npackages = [\"icons\"]\n")
	c = w.config(c.State, c.Locks[0])
	w.build(c, "mid", Options{})
	w.recipe("mid", "from = \"base\"\npackages = [\"icons\", \"daemon\"]\n")
	c = w.config(c.State, c.Locks[0])
	if _, err := Build(context.Background(), c, "mid", Options{}); !errors.Is(err, lock.ErrStale) {
		t.Errorf("a stale lock gives %v", err)
	}
	r := w.build(c, "mid", Options{Relock: true})
	if r.Images[0].ID == before.ID {
		t.Error("the newer version did not come in with a new lock")
	}
	// Without a lock and without a network there is nothing to do.
	other := w.config(t.TempDir(), t.TempDir())
	if _, err := Build(context.Background(), other, "base", Options{Offline: true}); !errors.Is(err, ErrOffline) {
		t.Errorf("offline without a lock gives %v", err)
	}
}

func TestArchiveThatChangedAfterTheLock(t *testing.T) {
	w := newWorld(t)
	locks := t.TempDir()
	w.build(w.config(t.TempDir(), locks), "base", Options{})
	var tool string
	for _, d := range w.debs {
		if d.Name == "tool" {
			tool = filepath.Join(w.repo.Dir, d.FileName())
		}
	}
	text, err := os.ReadFile(tool)
	if err != nil {
		t.Fatal(err)
	}
	good := slices.Clone(text)
	text[len(text)/2] ^= 1
	if err := os.WriteFile(tool, text, 0o644); err != nil {
		t.Fatal(err)
	}
	c := w.config(t.TempDir(), locks)
	if _, err := Build(context.Background(), c, "base", Options{}); !errors.Is(err, debian.ErrHash) || !strings.Contains(err.Error(), "tool") {
		t.Errorf("a flipped bit gives %v", err)
	}
	if err := os.Remove(tool); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(context.Background(), c, "base", Options{}); !errors.Is(err, debian.ErrGone) {
		t.Errorf("a package that is gone gives %v", err)
	}
	if err := os.WriteFile(tool, good, 0o644); err != nil {
		t.Fatal(err)
	}
	w.build(c, "base", Options{})
}

func TestTwoBuildsOfOneImage(t *testing.T) {
	w := newWorld(t)
	state, locks := t.TempDir(), t.TempDir()
	results := make([]*Result, 2)
	var wait sync.WaitGroup
	for i := range results {
		c := w.config(state, locks)
		wait.Go(func() {
			r, err := Build(context.Background(), c, "top", Options{})
			if err != nil {
				t.Error(err)
			}
			results[i] = r
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	if results[0].ID != results[1].ID {
		t.Error("the two made different images")
	}
	for i := range results[0].Images {
		if results[0].Images[i].Unchanged == results[1].Images[i].Unchanged {
			t.Errorf("%s was built by both or by none", results[0].Images[i].Name)
		}
	}
}

func TestCancelStopsAtOnceAndTheNextBuildGoesOn(t *testing.T) {
	w := newWorld(t)
	w.recipe("slow", "from = \"base\"\n[finish]\nrun = [\"sleep 1000\"]\n")
	c := w.config(t.TempDir(), t.TempDir())
	w.build(c, "base", Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := Build(ctx, c, "slow", Options{})
		done <- err
	}()
	// Wherever the build stands, it has to end.
	time.Sleep(300 * time.Millisecond)
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled build gives %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the build does not stop")
	}
	w.recipe("slow", "from = \"base\"\n[finish]\nrun = [\"echo quick > /etc/slow\"]\n")
	c = w.config(c.State, c.Locks[0])
	r := w.build(c, "slow", Options{})
	if got := inside(t, c, r.ID, "read x < /etc/slow; echo $x"); got != "quick\n" {
		t.Errorf("inside is %q", got)
	}
}
