package machine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Suites are the Debian releases that machines are made of: 12 and 13.
var Suites = []string{"bookworm", "trixie"}

// recipe names what a suite's tree is made of; a cached one of another recipe is
// not used. It counts, too, changes of the code below.
func recipe(suite string) string {
	sum := sha256.Sum256(fmt.Appendln(nil, 2, packages, more[suite], People, masked, files))
	return hex.EncodeToString(sum[:4])
}

// packages of every machine. The kernel is for the same tree in a virtual machine.
var packages = []string{
	"systemd", "systemd-sysv", "systemd-container", "udev", "kmod",
	"dbus", "dbus-user-session", "libpam-systemd", "libnss-systemd", "libpam-runtime", "polkitd",
	"login", "passwd", "sudo", "cron", "openssh-server", "openssh-client", "sshpass", "pamtester",
	"util-linux", "procps", "psmisc", "iproute2", "strace", "acl", "libcap2-bin", "e2fsprogs", "xz-utils", "less", "vim-tiny",
	"linux-image-cloud-amd64",
}

// more are packages that one suite alone has: trixie keeps wtmp in a database.
var more = map[string][]string{"trixie": {"wtmpdb", "libpam-wtmpdb"}}

// People who can log in, with their name as password and root's key. Alice may
// do everything by sudo without being asked.
var People = []string{"alice", "bob", "carol"}

// masked are units that have nothing to do in a machine without a screen,
// hardware and network, or that would run at a time of their own.
var masked = []string{
	"console-getty.service", "getty@tty1.service", "serial-getty@ttyS0.service", "getty-static.service", "systemd-networkd-wait-online.service",
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
	"display-manager.service",
}

// files of every machine. The service of commands is whose cgroup commands run in, so that
// logind sees them as what a service of the machine would start.
var files = map[string]string{
	"etc/hostname":                      "machine\n",
	"etc/hosts":                         "127.0.0.1 localhost machine\n",
	"etc/fstab":                         "",
	"etc/sudoers.d/machine":             "alice ALL=(ALL:ALL) NOPASSWD: ALL\n",
	"etc/ssh/ssh_config.d/machine.conf": "Host *\n\tStrictHostKeyChecking no\n\tUserKnownHostsFile /dev/null\n\tLogLevel ERROR\n",
	"etc/ssh/sshd_config.d/machine.conf": "UseDNS no\nPermitRootLogin yes\nMaxStartups 200\n" +
		"PasswordAuthentication yes\nKbdInteractiveAuthentication no\n",
	// In a virtual machine the second disk says what to do.
	"etc/systemd/system/machine-payload.service": "[Unit]\nConditionVirtualization=vm\n\n[Service]\n" +
		"ExecStart=/bin/sh -c 'mount /dev/vdb /mnt && exec /mnt/run'\nStandardOutput=file:/dev/ttyS0\nStandardError=file:/dev/ttyS0\n" +
		"ExecStopPost=systemctl --force --force poweroff\n\n[Install]\nWantedBy=multi-user.target\n",
	"etc/systemd/system/" + commandUnit: "[Service]\nExecStart=/bin/sleep infinity\nDelegate=yes\nTasksMax=infinity\n\n[Install]\nWantedBy=multi-user.target\n",
}

const commandUnit = "machine-commands.service"

func cacheDir() string {
	if dir := os.Getenv("NINEFOLD_TEST_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/ninefold-tests"
}

// Tree returns the directory that holds the suite's root file system. It is
// made, over the network, when it is not in the cache; two processes that want
// it at the same time make it once. It must not be changed.
func Tree(ctx context.Context, suite string) (string, error) {
	return cached("machine-"+suite+"-"+recipe(suite), func(making string) error {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
		defer cancel()
		include := strings.Join(append(packages[:len(packages):len(packages)], more[suite]...), ",")
		if err := host(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--include="+include, suite, making); err != nil {
			return err
		}
		if err := furnish(ctx, making); err != nil {
			return fmt.Errorf("furnish the %s machine: %w", suite, err)
		}
		return nil
	})
}

// cached returns the directory called name in the cache, and makes it first
// where there is none.
func cached(name string, build func(making string) error) (string, error) {
	dir := filepath.Join(cacheDir(), name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	making := dir + ".making"
	if err := os.RemoveAll(making); err != nil {
		return "", err
	}
	if err := build(making); err != nil {
		return "", err
	}
	return dir, os.Rename(making, dir)
}

// furnish adds people, keys and settings to a fresh tree.
func furnish(ctx context.Context, tree string) error {
	for name, text := range files {
		to := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "etc/sudoers.d/") {
			mode = 0o440
		}
		if err := os.WriteFile(to, []byte(text), mode); err != nil {
			return err
		}
	}
	steps := [][]string{
		{"systemd-machine-id-setup"},
		{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519"},
		{"systemctl", "enable", commandUnit, "machine-payload.service"},
		append([]string{"systemctl", "mask"}, masked...),
	}
	if err := os.MkdirAll(filepath.Join(tree, "root/.ssh"), 0o700); err != nil {
		return err
	}
	for _, name := range People {
		home := "/home/" + name
		steps = append(steps,
			[]string{"useradd", "--create-home", "--shell", "/bin/bash", name},
			[]string{"sh", "-c", `echo "$0:$0" | chpasswd`, name},
			[]string{"install", "-d", "-m", "700", "-o", name, "-g", name, home + "/.ssh"},
			[]string{"install", "-m", "600", "-o", name, "-g", name, "/root/.ssh/id_ed25519.pub", home + "/.ssh/authorized_keys"},
		)
	}
	steps = append(steps, []string{"cp", "/root/.ssh/id_ed25519.pub", "/root/.ssh/authorized_keys"}, []string{"rm", "-f", "/etc/resolv.conf"})
	for _, step := range steps {
		if err := host(ctx, "chroot", append([]string{tree}, step...)...); err != nil {
			return err
		}
	}
	return nil
}

// host runs a program of this machine.
func host(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail(out))
	}
	return nil
}

func tail(b []byte) []byte {
	const most = 4000
	if len(b) > most {
		b = append([]byte("[...]"), b[len(b)-most:]...)
	}
	return bytes.TrimSpace(b)
}
