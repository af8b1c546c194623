package driver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/tests/needs"
)

func TestTheSameImageIsTheSameBytes(t *testing.T) {
	var files [][]byte
	for range 2 {
		s := open(t)
		base := baseImage(t, s)
		child := childImage(t, s, base)
		for _, part := range []Part{Full, Own(base)} {
			l := layersOf(t, Composefs{}, s, child, part)
			b, err := os.ReadFile(l[0].Source)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, b)
		}
	}
	if !bytes.Equal(files[0], files[2]) || !bytes.Equal(files[1], files[3]) {
		t.Error("two stores composed different bytes of one image")
	}
}

func TestComposeTwiceAtOnceAndCollect(t *testing.T) {
	needs.Root(t)
	s := open(t)
	z := newZoo(t, s, "p")
	for i := range 100 {
		z.file(fmt.Sprintf("usr/share/%03d", i), fmt.Sprint("content ", i%80), nil)
	}
	id := putImage(t, s, &image.Manifest{Name: "one", Packages: []image.Ref{z.put()}})
	lease, err := s.Lease(id)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Close()
	for range 3 {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for _, d := range All() {
					if err := d.Compose(t.Context(), s, id, Full); err != nil {
						t.Errorf("%s: %v", d.Name(), err)
					}
				}
			})
			wg.Go(func() {
				if _, err := s.GC(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, d := range All() {
			l, err := d.Layers(s, id, Full)
			if err != nil {
				t.Fatal(err)
			}
			if _, composefs := d.(Composefs); composefs {
				continue // it may be more than this kernel can; the file is Loop's too
			}
			mounted(t, l, false, func(root string) error { return compare(root, tree(t, s, id, Full)) })
		}
		for _, d := range All() { // Composefs and Loop share a file
			if err := d.Remove(s, id, Full); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestFarmPoolIsVerified(t *testing.T) {
	needs.Root(t)
	s := open(t)
	id := putImage(t, s, &image.Manifest{Name: "one", Packages: []image.Ref{newZoo(t, s, "p").file("usr/bin/x", "content", nil).put()}})
	dir := layersOf(t, Farm{}, s, id, Full)[0].Source
	if err := os.WriteFile(dir+"/usr/bin/x", []byte("contend"), 0o600); err != nil {
		t.Fatal(err)
	}
	damage, err := s.Verify(t.Context())
	if err != nil || len(damage) != 1 || !strings.Contains(damage[0].String(), "/usr/bin/x of package p 1") {
		t.Errorf("%v, %v", damage, err)
	}
}

func TestLoopRefusesWhatItWouldHide(t *testing.T) {
	s := open(t)
	id := putImage(t, s, &image.Manifest{Name: "one", Packages: []image.Ref{newZoo(t, s, "p").add(pkg.Entry{Path: "ab", Kind: pkg.Dir, Mode: 0o755}).put()}})
	if err := (Loop{}).Compose(t.Context(), s, id, Full); err == nil || !strings.Contains(err.Error(), "/ab") {
		t.Errorf("an image with /ab: %v", err)
	}
	if err := (Composefs{}).Compose(t.Context(), s, id, Full); err != nil {
		t.Errorf("composefs can: %v", err)
	}
}

func TestByName(t *testing.T) {
	for _, d := range All() {
		if same, err := ByName(d.Name()); err != nil || same != d {
			t.Errorf("%s: %v, %v", d.Name(), same, err)
		}
	}
	if _, err := ByName("squashfs"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "composefs") {
		t.Errorf("unknown: %v", err)
	}
}
