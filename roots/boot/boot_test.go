package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const version = "6.12.1-test"

// computer makes a machine with GRUB in a directory, whose programs say what
// those of a real one would.
func computer(t *testing.T) *Machine {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/cmdline":                        "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet single",
		"boot/grub/grub.cfg":                  "source ${config_directory}/custom.cfg\n",
		"boot/grub/custom.cfg":                "# the administrator's own\n",
		"boot/vmlinuz-" + version:             "kernel",
		"lib/modules/" + version + "/x":       "",
		"etc/initramfs-tools/initramfs.conf":  "MODULES=most\n",
		"etc/initramfs-tools/hooks/of-others": "#!/bin/sh\n",
	} {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return machineIn(root)
}

func machineIn(root string) *Machine {
	return &Machine{State: filepath.Join(root, "var/lib/ninefold/boot"), Root: root, run: func(_ context.Context, name string, args ...string) ([]byte, error) {
		switch name {
		case "findmnt":
			return fmt.Appendf(nil, `{"filesystems":[{"source":"/dev/sda2","fstype":"ext4","uuid":"U-1","fsroot":"/","target":%q}]}`, root), nil
		case "mkinitramfs":
			for _, f := range []string{"hooks/ninefold", "hooks/of-others", "scripts/local-bottom/ninefold", "ninefold/overlay.sh", "initramfs.conf"} {
				if _, err := os.Stat(filepath.Join(args[1], f)); err != nil {
					return nil, err
				}
			}
			return nil, os.WriteFile(args[3], []byte("initramfs"), 0o600)
		}
		return nil, fmt.Errorf("%s: not expected", name)
	}}
}

func (m *Machine) request(stay bool) Request {
	return Request{Image: "gaming", ID: "abc", Kernel: version, Type: "erofs", Stay: stay,
		Write: func(_ context.Context, file string) error { return os.WriteFile(file, []byte("image"), 0o600) }}
}

// files is all that there is, with content.
func (m *Machine) all(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(m.Root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		out[strings.TrimPrefix(name, m.Root+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (m *Machine) tries(t *testing.T) string {
	t.Helper()
	block, err := readEnv(m.at("boot/grub/grubenv"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := Env(block, grubTries)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestItIsArmedLastAndTakenBackWhole(t *testing.T) {
	m := computer(t)
	before := m.all(t)
	for _, stay := range []bool{false, true} {
		var steps []string
		m.step = func(name string) { steps = append(steps, name) }
		if err := m.Boot(t.Context(), m.request(stay)); err != nil {
			t.Fatal(err)
		}
		if steps[len(steps)-1] != "arm" {
			t.Errorf("the steps are %v", steps)
		}
		files := m.all(t)
		custom := files["boot/grub/custom.cfg"]
		for _, want := range []string{"# the administrator's own\n", "--id ninefold", "--set=root U-1", "linux '/boot/ninefold/linux' 'root=UUID=1' 'ro' 'quiet' 'panic=10'",
			"'ninefold.type=erofs' 'ninefold.image=/var/lib/ninefold/boot/abc.erofs'", "initrd '/boot/ninefold/initrd'"} {
			if !strings.Contains(custom, want) {
				t.Errorf("GRUB's entry has no %q:\n%s", want, custom)
			}
		}
		if got := strings.Contains(custom, "'ninefold.keep=U-1:/boot/grub/grubenv'"); got != stay {
			t.Errorf("stay %v: %s", stay, custom)
		}
		for name, want := range map[string]string{"boot/ninefold/linux": "kernel", "boot/ninefold/initrd": "initramfs", "var/lib/ninefold/boot/abc.erofs": "image"} {
			if files[name] != want {
				t.Errorf("%s has %q", name, files[name])
			}
		}
		s, err := m.Status(t.Context())
		if err != nil || s.Image != "gaming" || s.Left != map[bool]int{false: 1, true: maxTries}[stay] || s.Always {
			t.Errorf("status %+v, %v", s, err)
		}
		// A kill or a power cut at any step leaves a machine that starts as before; at the
		// last one alone the image is started.
		for _, at := range append(slices.Clone(steps), "half of the image", "initramfs", "disarm") {
			killedAt(t, m, at, stay)
			if got := m.tries(t); (got != "") != (at == "arm") {
				t.Errorf("killed after %s: %s=%s", at, grubTries, got)
			}
			m.step = nil
			if err := m.Back(t.Context()); err != nil {
				t.Fatal(err)
			}
			after := m.all(t)
			delete(after, "boot/grub/grubenv") // it stays, with nothing of ours in it
			if fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("killed after %s, and taken back:\n%v\nnot\n%v", at, after, before)
			}
			if err := m.Back(t.Context()); !errors.Is(err, ErrNothing) {
				t.Errorf("taken back twice: %v", err)
			}
		}
	}
}

func TestOneAtATime(t *testing.T) {
	m := computer(t)
	r := m.request(false)
	r.Write = func(ctx context.Context, file string) error {
		other := *m
		if err := other.Boot(ctx, m.request(true)); !errors.Is(err, ErrBusy) {
			t.Errorf("beside another: %v", err)
		}
		if err := other.Back(ctx); !errors.Is(err, ErrBusy) {
			t.Errorf("taken back while it is made: %v", err)
		}
		return m.request(false).Write(ctx, file)
	}
	if err := m.Boot(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := m.tries(t); got != "1" {
		t.Errorf("%s=%s", grubTries, got)
	}
}

func TestWhatFailsIsTakenBack(t *testing.T) {
	m := computer(t)
	before := m.all(t)
	r := m.request(false)
	r.Write = func(_ context.Context, file string) error {
		return errors.Join(os.WriteFile(file, []byte("half"), 0o600), unix.ENOSPC)
	}
	if err := m.Boot(t.Context(), r); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("the error is %v", err)
	}
	if after := m.all(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("left is %v, not %v", after, before)
	}
}

func TestWhatCannotBeRefuses(t *testing.T) {
	for name, change := range map[string]func(m *Machine) error{
		"no loader": func(m *Machine) error { return os.Remove(m.at("boot/grub/grub.cfg")) },
		"an entry that is not read": func(m *Machine) error {
			return os.WriteFile(m.at("boot/grub/grub.cfg"), []byte("menuentry\n"), 0o644)
		},
		"a start on an image": func(m *Machine) error {
			return os.WriteFile(m.at("proc/cmdline"), []byte("root=x ninefold.image=/x\n"), 0o644)
		},
		"/boot where GRUB cannot write": func(m *Machine) error {
			of := m.run
			m.run = func(ctx context.Context, name string, args ...string) ([]byte, error) {
				out, err := of(ctx, name, args...)
				return []byte(strings.ReplaceAll(string(out), "/dev/sda2", "/dev/mapper/vg-root")), err
			}
			return nil
		},
	} {
		m := computer(t)
		if err := change(m); err != nil {
			t.Fatal(err)
		}
		before := m.all(t)
		if err := m.Boot(t.Context(), m.request(false)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		if after := m.all(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%s: left is %v, not %v", name, after, before)
		}
	}
}

func TestKernelsOfTheMachine(t *testing.T) {
	m := computer(t)
	for _, v := range []string{"6.12.10-test", "6.9.0-test"} {
		if err := errors.Join(os.WriteFile(m.at("boot/vmlinuz-"+v), nil, 0o644), os.MkdirAll(m.at("lib/modules/"+v), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(m.at("boot/vmlinuz-7.0-without-modules"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := m.Kernels("")
	if want := []string{"6.12.10-test", version, "6.9.0-test"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if got, err := m.Kernels("6.9.0-test"); err != nil || !slices.Equal(got, []string{"6.9.0-test"}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := m.Kernels("7.0-without-modules"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("the error is %v", err)
	}
}
