package attack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

// The attacker's account. Nobody on the machine has it: it stands in a passwd
// file that only the test's mount namespace shows.
const (
	attacker    = "ninefold-attacker"
	attackerUID = 54321
)

// bin, dir and home are set by TestMain, in the second of its lives.
var bin, dir, home string

// TestMain runs the list in a mount namespace of its own, so that sticks can be
// plugged in and accounts made that the machine never sees. With a try's name
// it is the attacker in a session.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "try" && os.Args[2] == "list" {
		if err := tryList(os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == "try" {
		os.Exit(try(os.Args[2], os.Args[3:]))
	}
	if len(os.Args) > 5 && os.Args[1] == "weak" {
		if err := weak(os.Args[2], os.Args[3], os.Args[4], os.Args[5:]...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Geteuid() != 0 {
		if needs.All() {
			fmt.Fprintln(os.Stderr, "these tests must run and need root")
			os.Exit(1)
		}
		fmt.Fprintln(os.Stderr, "skipped: these tests need root")
		os.Exit(0)
	}
	if os.Getenv("NINEFOLD_ATTACK") == "" {
		os.Exit(again())
	}
	code, err := world(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "NINEFOLD_ATTACK=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code > 0 || err == nil {
		return code
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func world(m *testing.M) (code int, err error) {
	code = 1
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return code, err
	}
	if dir, err = os.MkdirTemp("/var/tmp", "ninefold-attack-"); err != nil {
		return code, err
	}
	defer os.RemoveAll(dir)
	bin, home = filepath.Join(dir, "bin"), filepath.Join(dir, "home")
	for _, d := range []string{dir, bin, home, dir + "/config", dir + "/config/profiles"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return code, err
		}
		if err := os.Chmod(d, 0o755); err != nil {
			return code, err
		}
	}
	if err := os.Chown(home, attackerUID, attackerUID); err != nil {
		return code, err
	}
	programs := map[string]string{"../../bin/ninefold-init": "ninefold-init", "../../bin/ninefold-probe": "ninefold-probe", "/proc/self/exe": "attacker"}
	if _, err := exec.LookPath("go"); err == nil {
		build := exec.Command("go", "build", "-trimpath", "-o", bin+"/", "ninefold/cmd/sessionctl", "ninefold/cmd/ninefold-ctl")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return code, fmt.Errorf("build the programs: %w\n%s", err, out)
		}
	} else {
		// In the virtual machine of tests/vm, which has them as make built them.
		programs["../../bin/sessionctl"], programs["../../bin/ninefold-ctl"] = "sessionctl", "ninefold-ctl"
	}
	for from, to := range programs {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(bin, to), b, 0o755)
		}
		if err != nil {
			return code, fmt.Errorf("%w (make build)", err)
		}
	}
	if err := account(); err != nil {
		return code, err
	}
	// The machine's name services are not to hear of the guests of a test, nor its pool to have them.
	for _, dir := range []string{"/run/userdb", "/run/ninefold"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return code, err
		}
		if err := unix.Mount("attack", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return code, err
		}
	}
	for _, p := range append(profiles, guestProfile()) {
		if err := p.write(); err != nil {
			return code, err
		}
	}
	return m.Run(), nil
}

// account shows the test's processes a passwd file that has the attacker.
func account() error {
	b, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	b = append(bytes.TrimRight(b, "\n"), fmt.Sprintf("\n%s:x:%d:%d::%s:/bin/sh\n", attacker, attackerUID, attackerUID, home)...)
	name := filepath.Join(dir, "passwd")
	if err := os.WriteFile(name, b, 0o644); err != nil {
		return err
	}
	return unix.Mount(name, "/etc/passwd", "", unix.MS_BIND, "")
}

type profile struct {
	name, text string
	owner      int
}

var profiles = []profile{
	{"plain", "", 0},
	{"apart", "[isolation]\npid = true\nipc = true\nuts = true\nnet = \"none\"\nuser = \"mapped\"\n", 0},
	{"pid", "[isolation]\npid = true\n", 0},
	{"filtered", "[isolation]\npid = true\nseccomp = \"default\"\n", 0},
	{"limited", "[isolation]\npid = true\n[limits]\ntasks = 64\nmemory = \"256M\"\n", 0},
	{"theirs", "[isolation]\npid = true\n", attackerUID},
	{"theirs-on-the-host", "", attackerUID},
	{"devices", "devices = [\"shm/way-out\"]\n[isolation]\npid = true\n", attackerUID},
}

func (p profile) write() error {
	name := filepath.Join(dir, "config/profiles", p.name+".toml")
	text := fmt.Sprintf("version = 1\nname = %q\nsummary = \"for the attack list\"\nbase = \"host\"\n%s", p.name, p.text)
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Chown(name, p.owner, p.owner)
}

// withoutLimits reports whether a session was refused because the machine's
// cgroups cannot limit: refusing is what must happen there.
func withoutLimits(profile, out string) bool {
	return profile == "limited" && strings.Contains(out, "use cgroup controller")
}

// sessionctl makes a command of the real program.
func sessionctl(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, "sessionctl"), append([]string{"--config", dir + "/config", "--state", dir + "/state"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

// run runs a command in a session and returns what it printed.
func run(user, profile string, argv ...string) (string, error) {
	as := []string{"run", "--user", user, profile, "--"}
	if user == guest {
		as = []string{"run", profile, "--"}
	}
	out, err := sessionctl(append(as, argv...)...).CombinedOutput()
	return string(out), err
}

// attack runs a try in a session and fails the test when it got through.
func attack(t *testing.T, user, profile, name string, args ...string) {
	t.Helper()
	program := bin + "/attacker"
	if user == guest {
		program = guestBin + "/attacker" // what is below /var/tmp no guest sees
	}
	out, err := run(user, profile, append([]string{program, "try", name}, args...)...)
	switch {
	case withoutLimits(profile, out):
		t.Logf("as %s in %s: refused for want of cgroup controllers", user, profile)
	case strings.HasPrefix(out, held) && err == nil:
		t.Logf("as %s in %s: %s", user, profile, strings.TrimSpace(out))
	case strings.HasPrefix(out, through):
		t.Errorf("as %s in %s: %s", user, profile, out)
	default:
		t.Errorf("as %s in %s the try did not come to an end: %v\n%s", user, profile, err, out)
	}
}
