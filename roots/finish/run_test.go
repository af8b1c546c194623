package finish

import (
	"context"
	"errors"
	"sync"
	"testing"

	"ninefold/roots/pkg"
)

type memory struct {
	mu sync.Mutex
	m  map[pkg.Digest]*pkg.Package
}

func (c *memory) Step(k pkg.Digest) (*pkg.Package, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.m[k]
	return p, ok
}

func (c *memory) SetStep(k pkg.Digest, p *pkg.Package) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[k] = p
	return nil
}

func TestOnlyWhatReadsAChangeRunsAgain(t *testing.T) {
	s := testStore(t)
	base := []string{passwdMaster + " = " + masterPasswd, groupMaster + " = " + masterGroup, "usr/share/icons/T/index.theme = t", "usr/share/icons/T/16/a.png = a",
		"usr/share/applications/a.desktop = [Desktop Entry]\nMimeType=a/b;\n"}
	cache := &memory{m: map[pkg.Digest]*pkg.Package{}}
	for i, c := range []struct {
		more string
		runs []string
	}{
		{"unrelated = 1", []string{"users", "desktop-database", "icons"}},
		{"unrelated = 2", nil},
		{"usr/share/icons/T/16/b.png = b", []string{"icons"}},
		{passwdMaster + "x = y", nil},
	} {
		v := NewView(s, tree(t, s, append(base, c.more)...))
		ran, err := Run(context.Background(), s, v, Options{Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		var did []string
		for _, r := range ran {
			if !r.Cached {
				did = append(did, r.Step)
			}
		}
		if len(did) != len(c.runs) {
			t.Errorf("round %d ran %q, want %q", i, did, c.runs)
		}
		for k := range did {
			if did[k] != c.runs[k] {
				t.Errorf("round %d ran %q, want %q", i, did, c.runs)
			}
		}
	}
}

func TestRunRefusesUnknownStepsAndStopsWithItsContext(t *testing.T) {
	v := masters(t)
	if _, err := Run(context.Background(), v.objects, v, Options{Steps: []string{"ldconfg"}}); err == nil {
		t.Error("an unknown step was accepted")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, v.objects, v, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if ran := run(t, v, "users", Params{}); len(ran) != 1 {
		t.Errorf("ran %+v", ran)
	}
}

func TestStepsThatNeedAToolSayThatThereIsNoSandbox(t *testing.T) {
	v := newTree(t, "usr/bin/sh = x")
	_, err := Run(context.Background(), v.objects, v, Options{Steps: []string{}, Params: Params{Run: []string{"true"}}})
	if !errors.Is(err, errNoSandbox) {
		t.Errorf("got %v", err)
	}
}
