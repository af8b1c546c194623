package foreign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/roots/export"
	"ninefold/roots/image"
	"ninefold/roots/store"
)

// doing names, for a copy of this program, what it does: "import" or a form to
// export to, the directory of a store and a file.
const doing = "NINEFOLD_TEST_FOREIGN"

func TestMain(m *testing.M) {
	if text := os.Getenv(doing); text != "" {
		if err := do(strings.Fields(text)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const imported = "there"

func do(args []string) error {
	s, err := store.Open(args[1])
	if err != nil {
		return err
	}
	defer s.Close()
	ctx := context.Background()
	if args[0] == "import" {
		_, err := Root(ctx, s, args[2], accepting(s, Options{Reference: imported, InitDir: initDir}))
		return err
	}
	id, err := s.Resolve(imported)
	if err != nil {
		return err
	}
	return export.Export(ctx, s, id, imported, args[0], args[2])
}

// another is a copy of this program that does that.
func another(t *testing.T, what string, before ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(before, self)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), doing+"="+what)
	return cmd
}

// left checks that the store in dir has no image, and that the next who works on it finds
// nothing that somebody forgot.
func left(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	release, err := s.Build(t.Context(), "next")
	if err != nil {
		t.Fatal(err)
	}
	release()
	ids, err := s.Images()
	if err != nil || len(ids) > 0 {
		t.Errorf("images %v, %v", ids, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("in tmp is %v, %v", left, err)
	}
}

// whole checks that the store in dir has what was imported.
func whole(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id, err := s.Resolve(imported)
	if err != nil {
		t.Fatal(err)
	}
	if damage, err := s.Verify(t.Context(), id); err != nil || len(damage) > 0 {
		t.Errorf("damage %v, %v", damage, err)
	}
}

// TestKilledAtAnyMoment kills imports and exports: nothing half is seen, and the next
// one works.
func TestKilledAtAnyMoment(t *testing.T) {
	file := squashfs(t, "for i in $(seq 200); do head -c 30000 /dev/urandom > $i; done; ln 1 l")
	sound := t.TempDir()
	if out, err := another(t, "import "+sound+" "+file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	kill := func(what string) (killed bool) {
		cmd := another(t, what)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
		cmd.Process.Kill()
		return cmd.Wait() != nil
	}
	killed := 0
	for range 5 {
		dir := t.TempDir()
		if kill("import " + dir + " " + file) {
			killed++
		}
		if s, err := store.Open(dir); err == nil {
			ids, err := s.Images()
			for _, id := range ids {
				if damage, err := s.Verify(t.Context(), id); err != nil || len(damage) > 0 {
					t.Errorf("damage %v, %v", damage, err)
				}
			}
			if s.Close(); err != nil {
				t.Error(err)
			}
		}
		if out, err := another(t, "import "+dir+" "+file).CombinedOutput(); err != nil {
			t.Fatalf("after a kill: %v: %s", err, out)
		}
		whole(t, dir)
		if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
			t.Errorf("in tmp is %v, %v", left, err)
		}
	}
	for _, form := range []string{export.Tar, export.Erofs, export.Squashfs, export.OCI} {
		want := filepath.Join(t.TempDir(), "file")
		if out, err := another(t, form+" "+sound+" "+want).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", form, err, out)
		}
		for range 2 {
			dir := t.TempDir()
			to := filepath.Join(dir, "file")
			if kill(form + " " + sound + " " + to) {
				killed++
			}
			same(t, to, want, true)
			if out, err := another(t, form+" "+sound+" "+to).CombinedOutput(); err != nil {
				t.Fatalf("%s: after a kill: %v: %s", form, err, out)
			}
			same(t, to, want, false)
			if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
				t.Errorf("%s: beside the file is %v, %v", form, list, err)
			}
		}
	}
	if killed == 0 {
		t.Error("none was killed before it was done")
	}
}

// same compares two files; the first may be missing.
func same(t *testing.T, got, want string, missing bool) {
	t.Helper()
	a, err := os.ReadFile(got)
	if errors.Is(err, os.ErrNotExist) && missing {
		return
	}
	b, err2 := os.ReadFile(want)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Errorf("%s of %d bytes is another than %s of %d", got, len(a), want, len(b))
	}
}

// onSmallDisk does what on a tmpfs of that size, and again when it has
// grown. It returns what the first said, and copies of the directory after both.
func onSmallDisk(t *testing.T, size, what string) (said, full, after string) {
	t.Helper()
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Fatal(err)
	}
	dir, out := t.TempDir(), t.TempDir()
	script := `mount -t tmpfs -o size=` + size + ` tmpfs "$0" || exit 99
"$2" && exit 98
mkdir "$1/full" && cp -a "$0/." "$1/full" && mount -o remount,size=2g "$0" || exit 97
"$2" && mkdir "$1/after" && cp -a "$0/." "$1/after"`
	text, err := another(t, strings.ReplaceAll(what, "DIR", dir), "unshare", "-m", "sh", "-c", script, dir, out).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return string(text), filepath.Join(out, "full"), filepath.Join(out, "after")
}

func TestAFullDisk(t *testing.T) {
	file := squashfs(t, "for i in $(seq 200); do head -c 30000 /dev/urandom > $i; done")
	_, full, after := onSmallDisk(t, "5m", "import DIR "+file)
	left(t, full)
	whole(t, after)
	// The file needs room of its own.
	said, full, after := onSmallDisk(t, "8m", "import DIR "+file)
	if !strings.Contains(said, "more than") && !strings.Contains(said, "no space left") {
		t.Errorf("said %s", said)
	}
	left(t, full)
	whole(t, after)

	dir := t.TempDir()
	if out, err := another(t, "import "+dir+" "+file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, form := range []string{export.Tar, export.Erofs, export.Squashfs, export.OCI} {
		said, full, after := onSmallDisk(t, "3m", form+" "+dir+" DIR/file")
		if !strings.Contains(strings.ToLower(said), "no space left") {
			t.Errorf("%s: said %s", form, said)
		}
		if list, err := os.ReadDir(full); err != nil || len(list) > 0 {
			t.Errorf("%s: on the full disk is %v, %v", form, list, err)
		}
		if info, err := os.Stat(filepath.Join(after, "file")); err != nil || info.Size() < 5<<20 {
			t.Errorf("%s: afterwards: %v", form, err)
		}
	}
}

// TestARefusedImport leaves an image that was there, and no other.
func TestARefusedImport(t *testing.T) {
	s := open(t)
	refused := errors.New("refused")
	o := Options{Reference: "x", Accept: func(context.Context, string, image.ID) error { return refused }}
	file := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(file, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Root(t.Context(), s, file, o); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	left(t, s.Dir())
	r, err := Root(t.Context(), s, file, accepting(s, Options{Reference: "x"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Root(t.Context(), s, file, o); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	if id, err := s.Resolve("x"); err != nil || id != r.ID {
		t.Errorf("x is %s, %v", id.Short(), err)
	}
}
