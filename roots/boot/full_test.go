package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

// mounted puts a file system in place of a directory of a machine, with what was there.
func mounted(t *testing.T, m *Machine, dir string, args ...string) {
	t.Helper()
	needs.Root(t)
	dir = m.at(dir)
	aside := t.TempDir()
	for _, argv := range [][]string{
		{"mkdir", "-p", dir}, {"cp", "-r", dir + "/.", aside}, append([]string{"mount"}, append(args, dir)...), {"cp", "-r", aside + "/.", dir},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", argv, err, out)
		}
		if argv[0] == "mount" {
			t.Cleanup(func() {
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// fill leaves so many bytes of a file system.
func fill(t *testing.T, file string, left int64) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(file), &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := bytes.Repeat([]byte("x"), int(st.Bsize))
	for n := int64(st.Bavail)*st.Bsize - left; n > 0; n -= st.Bsize {
		if _, err := f.Write(chunk); err != nil && !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// loaded makes a machine with systemd-boot, whose boot partition is dir.
func loaded(t *testing.T, dir string) *Machine {
	m := computer(t)
	variable(t, m.at("sys/firmware/efi/efivars"), "LoaderInfo", "systemd-boot 257.9-1")
	of := m.run
	m.run = func(ctx context.Context, name string, args ...string) ([]byte, error) {
		switch {
		case name == "bootctl" && args[0] == "--print-boot-path":
			return []byte(m.at(dir) + "\n"), nil
		case name == "bootctl":
			return nil, nil
		}
		return of(ctx, name, args...)
	}
	return m
}

// A boot partition without room is refused before anything is touched, an earlier choice
// included; and that one is taken back whole though the partition is full to the last byte.
func TestAFullBootPartition(t *testing.T) {
	for name, c := range map[string]struct {
		machine func(t *testing.T) *Machine
		at      string
	}{
		"/boot": {computer, "boot"},
		"ESP":   {func(t *testing.T) *Machine { return loaded(t, "efi") }, "efi"},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.machine(t)
			mounted(t, m, c.at, "-t", "tmpfs", "-o", "size=8M", "tmpfs")
			before := m.all(t)
			if err := m.Boot(t.Context(), m.request(true)); err != nil {
				t.Fatal(err)
			}
			filler := m.at(c.at + "/filler")
			fill(t, filler, spare-1<<20)
			armed := m.all(t)
			touched := ""
			m.step = func(name string) { touched += " " + name }
			if err := m.Boot(t.Context(), m.request(false)); !errors.Is(err, unix.ENOSPC) {
				t.Errorf("without room: %v", err)
			}
			if touched != "" || fmt.Sprint(m.all(t)) != fmt.Sprint(armed) {
				t.Errorf("without room it did%s", touched)
			}
			fill(t, filler+"2", 0)
			if err := m.Back(t.Context()); err != nil {
				t.Errorf("take it back on a full partition: %v", err)
			}
			after := m.all(t)
			for _, name := range []string{c.at + "/filler", c.at + "/filler2", "boot/grub/grubenv"} {
				delete(after, name)
			}
			if fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("taken back:\n%v\nnot\n%v", after, before)
			}
		})
	}
}

// An image that is plainly too large is not begun, and the choice of an earlier one stays.
func TestAnImageThatIsTooLarge(t *testing.T) {
	m := computer(t)
	if err := m.Boot(t.Context(), m.request(true)); err != nil {
		t.Fatal(err)
	}
	armed := m.all(t)
	r := m.request(false)
	r.Size = 1 << 60
	if err := m.Boot(t.Context(), r); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("the error is %v", err)
	}
	if after := m.all(t); fmt.Sprint(after) != fmt.Sprint(armed) {
		t.Errorf("left is %v, not %v", after, armed)
	}
}

// Wherever the state directory's disk fills, the machine starts as before, and nothing is left.
func TestADiskThatFills(t *testing.T) {
	m := computer(t)
	mounted(t, m, "var/lib/ninefold", "-t", "tmpfs", "-o", "size=1M", "tmpfs")
	r := m.request(false)
	r.Write = func(_ context.Context, file string) error {
		return os.WriteFile(file, bytes.Repeat([]byte("image"), 10_000), 0o600)
	}
	failed := 0
	for pages := int64(0); ; pages++ {
		filler := m.at("var/lib/ninefold/filler")
		fill(t, filler, pages*int64(os.Getpagesize()))
		before := m.all(t)
		err := m.Boot(t.Context(), r)
		if err == nil {
			break
		}
		failed++
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("with %d pages: %v", pages, err)
		}
		if after := m.all(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Fatalf("with %d pages: left is\n%v\nnot\n%v", pages, after, before)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	if failed < 14 || m.tries(t) != "1" {
		t.Errorf("it failed %d times, and then %s=%s", failed, grubTries, m.tries(t))
	}
}
