package detect

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/requires"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestAnotherKernelThanTheRunningOne(t *testing.T) {
	root := tree(t, map[string]string{
		"lib/modules/6.9.1-x/modules.dep":             "kernel/fs/fuse/fuse.ko.xz: kernel/a.ko\nupdates/nvidia-drm.ko:\n",
		"lib/modules/6.9.1-x/modules.builtin":         "kernel/fs/ext4/ext4.ko\n",
		"lib/modules/half/x":                          "",
		"boot/config-6.9.1-x":                         "# CONFIG_OFF is not set\nCONFIG_USER_NS=y\nCONFIG_LSM=\"landlock\"\n",
		"proc/filesystems":                            "nodev\ttmpfs\n\tbtrfs\n",
		"proc/cpuinfo":                                "processor\t: 0\nflags\t\t: " + strings.Join(append(flags[0], flags[1]...), " ") + "\n",
		"etc/os-release":                              "NAME=\"D\"\nID=debian\nVERSION_ID=\"12\"\n",
		"usr/lib/systemd/libsystemd-shared-252.so":    "",
		"usr/lib/systemd/libsystemd-shared-252.so.md": "",
	})
	m := Machine(t.Context(), root, "6.9.1-x")
	if m.OS != "debian" || m.OSVersion != "12" || m.Systemd != "252" || requires.Level(m.CPU) != "x86-64-v2" {
		t.Errorf("%+v", m)
	}
	for name, want := range map[string]bool{"fuse": true, "nvidia_drm": true, "nvidia-drm": true, "ext4": true, "a": false} {
		if m.Module(name) != want {
			t.Errorf("module %s: %v", name, !want)
		}
	}
	// btrfs is of the kernel that runs, not of this one.
	for name, want := range map[string]bool{"fuse": true, "ext4": true, "btrfs": false} {
		if m.Filesystem(name) != want {
			t.Errorf("file system %s: %v", name, !want)
		}
	}
	for option, want := range map[string]string{"USER_NS": "y", "OFF": "", "LSM": "landlock"} {
		if got, known := m.Config(option); got != want || !known {
			t.Errorf("%s is %q, %v", option, got, known)
		}
	}
	if _, known := Machine(t.Context(), root, "none").Config("USER_NS"); known {
		t.Error("a kernel without a configuration says something")
	}
	if got := Installed(root); !slices.Equal(got, []string{"6.9.1-x"}) {
		t.Errorf("installed are %v", got)
	}
}

// TestThisMachine compares with what the machine's own tools say.
func TestThisMachine(t *testing.T) {
	m := Machine(t.Context(), "/", Running())
	out, err := exec.Command("uname", "-r").Output()
	if err != nil || strings.TrimSpace(string(out)) != m.Kernel {
		t.Errorf("%q, %v, not %q", out, err, m.Kernel)
	}
	if !m.Filesystem("proc") || m.Filesystem("no-such") {
		t.Error("file systems are not those that run")
	}
	if out, err := exec.Command("systemctl", "--version").Output(); err == nil {
		if f := strings.Fields(string(out)); len(f) < 2 || !strings.HasPrefix(m.Systemd, f[1]) {
			t.Errorf("systemd %q, and systemctl says %.40q", m.Systemd, out)
		}
	}
	// The dynamic linker lists the levels that it would use.
	linker, err := exec.Command("/lib64/ld-linux-x86-64.so.2", "--help").Output()
	if err != nil {
		return
	}
	for n := 2; n <= 4; n++ {
		for line := range strings.Lines(string(linker)) {
			f := strings.Fields(line)
			if len(f) > 0 && f[0] == requires.Level(n) && strings.Contains(line, "supported") != (m.CPU >= n) {
				t.Errorf("level %d is ours, and the linker says %s", m.CPU, line)
			}
		}
	}
}
