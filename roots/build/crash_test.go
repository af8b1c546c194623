package build

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/roots/driver"
	"ninefold/roots/recipe/recipefile"
	"ninefold/roots/store"
	"ninefold/tests/needs"
)

// childEnv makes the test binary build one image and print its id: the tests
// kill it, and starve it of disk.
const childEnv = "NINEFOLD_TEST_BUILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		if err := child(strings.Split(spec, "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(args []string) error {
	state, locks, recipes, init, driverName, name := args[0], args[1], args[2], args[3], args[4], args[5]
	s, err := store.Open(filepath.Join(state, "store"))
	if err != nil {
		return err
	}
	set, err := recipefile.Load(recipes)
	if err != nil {
		return err
	}
	d, err := driver.ByName(driverName)
	if err != nil {
		return err
	}
	r, err := Build(context.Background(), Config{Store: s, Driver: d, Recipes: set, Locks: []string{locks}, State: state, InitDir: init}, name, Options{})
	if err != nil {
		return err
	}
	fmt.Println(r.ID)
	return nil
}

// command is a child that builds in c's directories, below prefix.
func (w *world) command(c Config, name string, prefix ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	argv := append(prefix, self)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{c.State, c.Locks[0], w.recipes, c.InitDir, c.Driver.Name(), name}, "\n"))
	return cmd
}

func TestKilledAtAnyMoment(t *testing.T) {
	w := newWorld(t)
	locks := t.TempDir()
	reference := w.config(t.TempDir(), locks)
	start := time.Now()
	want := w.build(reference, "top", Options{}).ID
	whole := time.Since(start)

	c := w.config(t.TempDir(), locks)
	finished := false
	for round := 0; round < 12 && !finished; round++ {
		cmd := w.command(c, "top")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The state grows from round to round, so that later rounds are
		// killed in later parts of the build.
		kill := time.AfterFunc(rand.N(whole), func() { _ = cmd.Process.Kill() })
		finished = cmd.Wait() == nil
		kill.Stop()
		if damage, err := c.Store.Verify(context.Background()); err != nil || len(damage) > 0 {
			t.Fatalf("after kill %d: %v, %v", round, damage, err)
		}
	}
	r := w.build(c, "top", Options{})
	if r.ID != want {
		t.Errorf("after being killed the image is %s, want %s", r.ID, want)
	}
	if got := inside(t, c, r.ID, "read m < /etc/made; echo $m"); got != "made\n" {
		t.Errorf("inside is %q", got)
	}
	if _, err := c.Store.GC(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r := w.build(c, "top", Options{}); r.ID != want || !r.Images[2].Unchanged {
		t.Error("a collection took something that the image needs")
	}
}

func TestFullDisk(t *testing.T) {
	w := newWorld(t)
	if _, err := exec.LookPath("unshare"); err != nil {
		needs.Lacks(t, err.Error())
	}
	locks := t.TempDir()
	want := w.build(w.config(t.TempDir(), locks), "top", Options{}).ID
	mount := t.TempDir()
	c := w.config(t.TempDir(), locks)
	c.State = mount
	c.Driver = driver.Loop{} // erofs takes no file on a tmpfs but through a loop device
	// The store is kept between the attempts in a file system that grows: each
	// finds what the one before left.
	script := `mount -t tmpfs -o size=1m tmpfs "$0" || exit 99
for size in 2m 3m 4m 6m 8m 12m 64m; do
	mount -o remount,size=$size "$0" || exit 99
	"$@" && exit 0
done
exit 1`
	out, err := w.command(c, "top", "unshare", "-m", "sh", "-c", script, mount).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; last != want.String() {
		t.Errorf("the image is %s, want %s", last, want)
	}
	full := 0
	for _, l := range lines[:len(lines)-1] {
		if strings.Contains(l, "no space left") {
			full++
		}
	}
	if full == 0 {
		t.Errorf("no attempt says that the disk is full:\n%s", out)
	}
	t.Logf("%d attempts: %s", len(lines), lines[0])
}
