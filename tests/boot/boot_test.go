package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/tests/machine"
	"ninefold/tests/vm"
)

// TestAMachineStartsOnAnImageAndComesBack boots a machine on images by its own
// boot loader: it takes the next start alone, or every one after a good one, nothing that is
// written there is kept, and an image that does not come up is not tried again.
func TestAMachineStartsOnAnImageAndComesBack(t *testing.T) {
	machine.Able(t, "qemu-system-x86_64", "mkfs.ext4", "mkfs.vfat", "mcopy", "sfdisk")
	if _, err := os.Stat(firmware); err != nil {
		t.Fatalf("Debian's ovmf is not installed: %v", err)
	}
	const most = 30 * time.Minute
	for _, k := range kinds {
		if k.long && os.Getenv("NINEFOLD_LONG") == "" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeoutCause(t.Context(), most, fmt.Errorf("not done within %s", most))
			defer cancel()
			tree, err := machine.TreeOf(ctx, k.suite, &machine.Set{Name: "boot", Packages: k.packages})
			if err != nil {
				t.Fatal(err)
			}
			dir, err := os.MkdirTemp(filepath.Dir(tree), "running-boot-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			copied := filepath.Join(dir, "tree")
			if err := run(ctx, "cp", "-a", "--reflink=auto", tree, copied); err != nil {
				t.Fatal(err)
			}
			disk := filepath.Join(dir, "disk")
			if err := makeDisk(ctx, k, copied, disk); err != nil {
				t.Fatal(err)
			}
			state := images(ctx, t, k.suite, copied, dir)
			var script []byte
			for _, name := range []string{"common", k.name} {
				text, err := os.ReadFile("testdata/" + name + ".sh")
				if err != nil {
					t.Fatal(err)
				}
				script = append(script, text...)
			}
			top, err := filepath.Abs("../..")
			if err != nil {
				t.Fatal(err)
			}
			payload, err := vm.Payload(ctx, dir, map[string]string{"bin": top + "/bin", "state": state}, string(script))
			if err != nil {
				t.Fatal(err)
			}
			console, err := start(ctx, disk, payload, dir)
			if err != nil {
				t.Fatalf("%v\n%s", err, console)
			}
			want, err := os.ReadFile("testdata/" + k.name + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if got := told(console); got != string(want) {
				t.Errorf("it told\n%s\nnot\n%s\nconsole:\n%s", got, want, console)
			}
		})
	}
}

// told are the lines of a console that the scripts wrote.
func told(console string) string {
	var b strings.Builder
	for l := range strings.Lines(console) {
		if _, said, ok := strings.Cut(strings.TrimRight(l, "\r\n"), "TOLD "); ok {
			b.WriteString(said + "\n")
		}
	}
	return b.String()
}

// images builds what is booted into a state directory: "bare" without modules of a kernel,
// "started" with those of the tree, and "broken", whose init is none.
func images(ctx context.Context, t *testing.T, suite, tree, dir string) string {
	t.Helper()
	state, config := filepath.Join(dir, "state"), filepath.Join(dir, "config")
	recipes := filepath.Join(config, "recipes")
	modules, err := os.ReadDir(filepath.Join(tree, "usr/lib/modules"))
	if err != nil || len(modules) != 1 {
		t.Fatalf("want one kernel in %s, have %v, %v", tree, modules, err)
	}
	version := modules[0].Name()
	text := map[string]string{
		"bare.toml": "version = 1\nname = \"bare\"\npackages = [\"systemd-sysv\", \"udev\", \"kmod\", \"dbus\"]\n" +
			"[source]\nsuite = \"" + suite + "\"\n[exclude]\ndocs = true\nlocales = true\n",
		"started.toml": "version = 1\nname = \"started\"\nfrom = \"bare\"\n[source]\ndirectory = \"started\"\n",
		"broken.toml":  "version = 1\nname = \"broken\"\n[source]\ndirectory = \"broken\"\n[finish]\nsteps = []\n",
		"started/etc/systemd/system/started.service": "[Unit]\nAfter=multi-user.target\n\n[Service]\nType=idle\nExecStart=/usr/lib/started\n" +
			"StandardOutput=file:/dev/ttyS0\nStandardError=file:/dev/ttyS0\n",
		"broken/usr/lib/modules/" + version + "/modules.dep": "",
		"broken/sbin/init": "this starts nothing\n",
	}
	for name, content := range text {
		to := filepath.Join(recipes, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range [][]string{
		{"mkdir", "-p", recipes + "/started/usr/lib/modules/" + version, recipes + "/started/etc/systemd/system/multi-user.target.wants"},
		// A few of the modules: the test writes the image inside the machine.
		{"sh", "-c", `cd "$0" && cp -a --parents modules.builtin modules.order kernel/fs/fat kernel/fs/nls kernel/drivers/net/dummy.ko* "$1"`,
			filepath.Join(tree, "usr/lib/modules", version), recipes + "/started/usr/lib/modules/" + version},
		// It hangs the line up on which the test tells what it finds.
		{"ln", "-s", "/dev/null", recipes + "/started/etc/systemd/system/serial-getty@ttyS0.service"},
		{"cp", "testdata/started", recipes + "/started/usr/lib/started"},
		{"ln", "-s", "../started.service", recipes + "/started/etc/systemd/system/multi-user.target.wants/started.service"},
	} {
		if err := run(ctx, step[0], step[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(ctx, "../../bin/sessionctl", "--state", state, "--config", config, "image", "build", "started", "broken")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the images: %v\n%s", err, out)
	}
	return state
}
