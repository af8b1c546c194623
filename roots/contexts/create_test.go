package contexts

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestOthersWorkWhileOneIsFilled: they make, rename and delete contexts, but none of
// that name, and what is being made is not taken for what a killed one left.
func TestOthersWorkWhileOneIsFilled(t *testing.T) {
	s := On(t.TempDir())
	ctx, now := t.Context(), time.Now()
	began, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := s.CreateFilled(ctx, Record{Name: "slow", Created: now}, func(layers string, r *Record) error {
			close(began)
			<-goOn
			r.Stands.Kernel = "filled"
			return os.WriteFile(filepath.Join(layers, r.Layer, "file"), nil, 0o600)
		})
		done <- err
	}()
	<-began
	if err := os.Mkdir(filepath.Join(s.dir, newPrefix+"killed"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := s.Create(ctx, 0, "quick", 0, Stands{}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, newPrefix+"killed")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed one left: %v", err)
	}
	if _, err := s.Create(ctx, 0, "slow", 0, Stands{}, now); !errors.Is(err, ErrExists) {
		t.Errorf("one of the same name: %v", err)
	}
	if err := s.Rename(r, "slow"); !errors.Is(err, ErrExists) {
		t.Errorf("another one gets the name: %v", err)
	}
	if _, err := s.Find(0, "slow"); !errors.Is(err, ErrNotFound) {
		t.Errorf("before it is filled: %v", err)
	}
	if err := s.Delete(r); err != nil {
		t.Error(err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	made, err := s.Find(0, "slow")
	if err != nil || made.Stands.Kernel != "filled" {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := os.Stat(filepath.Join(s.LayerDir(made, made.Layer), "file")); err != nil {
		t.Error(err)
	}
}

// TestWhatIsNotFilledIsNotThere: nor anything of it.
func TestWhatIsNotFilledIsNotThere(t *testing.T) {
	s, full := On(t.TempDir()), errors.New("full")
	_, err := s.CreateFilled(t.Context(), Record{Name: "x"}, func(string, *Record) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, newPrefix+"*")); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if _, err := s.Create(t.Context(), 0, "x", 0, Stands{}, time.Now()); err != nil {
		t.Errorf("the name is taken: %v", err)
	}
}
