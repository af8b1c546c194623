package program

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestALinkThatIsSwapped: what is found is wholly one thing or the other, and what
// somebody else owns is refused however often the link to it changes meanwhile.
func TestALinkThatIsSwapped(t *testing.T) {
	dir := ours(t)
	theirs := filepath.Join(dir, "theirs")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	planted := write(t, filepath.Join(theirs, "id"), "#!/bin/sh\n", 0o755)
	for _, name := range []string{theirs, planted} {
		if err := os.Chown(name, 12345, 12345); err != nil {
			t.Fatal(err)
		}
	}
	link, next := filepath.Join(dir, "d"), filepath.Join(dir, "next")
	if err := os.Symlink("/usr/bin", link); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			for _, target := range []string{theirs, "/usr/bin"} {
				if err := errors.Join(os.Symlink(target, next), os.Rename(next, link)); err != nil {
					stopped <- err
					return
				}
			}
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
		}
	}()
	found, refused := 0, 0
	for until := time.Now().Add(30 * time.Second); found < 200 || refused < 200; {
		if time.Now().After(until) {
			t.Errorf("in 30 s it was found %d times and refused %d times", found, refused)
			break
		}
		p, err := Find(filepath.Join(link, "id"))
		switch {
		case errors.Is(err, ErrNotRoots):
			refused++
		case err != nil:
			t.Errorf("neither one nor the other: %v", err)
		case p.Path != "/usr/bin/id" || !filepath.IsAbs(p.File) || p.File == planted:
			t.Errorf("found %+v", p)
		default:
			found++
		}
		if t.Failed() {
			break
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
