package attack

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// guest stands for the user that exists for one session.
	guest = "guest"
	// guestBin is where a guest has the attacker's program.
	guestBin = "/usr/local/attack"
)

// guestProfile is the built-in one, with the attacker's program.
func guestProfile() profile {
	return profile{"visitor", fmt.Sprintf("namespace = \"bind -r %s %s\"\n[isolation]\nuser = \"dynamic\"\n[limits]\nnproc = 64\n", bin, guestBin), 0}
}

// TestGuestTries is what an attacker tries as a guest.
func TestGuestTries(t *testing.T) {
	for _, name := range []string{"descriptors", "umask", "old-root", "trace-init", "kill-init", "knobs", "devices", "terminal",
		"setuid-self", "nested", "vsock", "alg", "calls", "xattrs", "tasks", "runaway"} {
		t.Run(name, func(t *testing.T) { attack(t, guest, "visitor", name) })
	}
	secret := filepath.Join(home, "secret")
	if err := os.WriteFile(secret, []byte("the attacker's own"), 0o644); err != nil {
		t.Fatal(err)
	}
	attack(t, guest, "visitor", "look", secret, "/root/.bashrc", "/etc/shadow", "/proc/kcore", "/var/log/dpkg.log", dir+"/config/profiles/plain.toml")
	setuid := filepath.Join(bin, "guest-setuid")
	b, err := os.ReadFile(bin + "/attacker")
	if err == nil {
		err = os.WriteFile(setuid, b, 0o755)
	}
	if err == nil {
		err = os.Chmod(setuid, 0o755|os.ModeSetuid)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(setuid)
	attack(t, guest, "visitor", "run", guestBin+"/guest-setuid")
}

// doors are sockets of the host's that the probe knocks at, and directories in
// which it looks for what is people's.
var (
	doors = []string{"/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/notify", "/run/systemd/journal/socket",
		"/run/systemd/resolve/io.systemd.Resolve", "/run/udev/control", "/run/nscd/socket", "/run/podman/podman.sock", "/run/containerd/containerd.sock",
		"/run/cups/cups.sock", "/run/pcscd/pcscd.comm", "/tmp/.X11-unix/X0"}
	peoples = []string{"/root", "/media", "/mnt", "/srv", "/var/mail", "/var/spool", "/var/log", "/var/backups", "/home"}
)

// weak are sessions that let through what a guest's must not, each in its own way.
func weak(t *testing.T) map[string]profile {
	t.Helper()
	var lines []string
	for _, name := range doors {
		at := filepath.Join(dir, "doors", name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", at)
		if err == nil {
			err = os.Chmod(at, 0o777)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if line := fmt.Sprintf("bind %s %s", filepath.Dir(at), filepath.Dir(name)); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for _, name := range peoples {
		lines = append(lines, fmt.Sprintf("file %s/somebody-s nothing", name))
	}
	const capable = `capabilities = ["cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_kill", "cap_setgid", "cap_setuid", "cap_net_raw",
		"cap_net_admin", "cap_sys_chroot", "cap_sys_admin", "cap_sys_ptrace", "cap_mknod", "cap_syslog", "cap_sys_time", "cap_audit_read", "cap_bpf", "cap_perfmon"]`
	var devices []string
	for _, name := range []string{"kmsg", "fuse"} {
		if _, err := os.Stat("/dev/" + name); err == nil {
			devices = append(devices, name)
		}
	}
	return map[string]profile{
		"as the user, without any namespace":  {"weak-open", "", 0},
		"with doors and other people's files": {"weak-doors", fmt.Sprintf("namespace = %q\n[isolation]\npid = true\n", strings.Join(lines, "\n")), 0},
		// Of its own only what a try would change for the machine.
		"with capabilities": {"weak-capable", strings.ReplaceAll(fmt.Sprintf("devices = %q\n", devices), "\" \"", "\", \"") + "[isolation]\npid = true\nuts = true\n" + capable + "\n", 0},
	}
}

// TestTheProbeFindsWhatIsWeak is the list of what is tried in a guest's session, in
// sessions that are no guest's: a try that never gets through would prove nothing.
func TestTheProbeFindsWhatIsWeak(t *testing.T) {
	args := []string{strconv.Itoa(attackerUID)}
	for _, kind := range []string{"mnt", "pid", "net", "ipc", "uts", "cgroup", "user"} {
		own, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, own)
	}
	all, got := map[string]bool{}, map[string]bool{}
	for what, p := range weak(t) {
		if err := p.write(); err != nil {
			t.Fatal(err)
		}
		user, argv := attacker, append([]string{bin + "/ninefold-probe"}, args...)
		if p.name == "weak-capable" {
			user, argv = "root", append([]string{bin + "/attacker", "try", "probe-capable", bin + "/ninefold-probe"}, args...)
		}
		out, err := run(user, p.name, argv...)
		if err == nil || !strings.Contains(out, "\tthrough\t") {
			t.Errorf("%s the probe found nothing wrong: %v\n%.2000s", what, err, out)
		}
		for line := range strings.Lines(out) {
			if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 3 && f[0] != "writable" && !strings.HasPrefix(f[0], "keep something in") {
				all[f[0]], got[f[0]] = true, got[f[0]] || f[1] == "through"
			}
		}
	}
	var never []string
	for name := range all {
		if !got[name] {
			never = append(never, name)
		}
	}
	slices.Sort(never)
	t.Logf("%d tries, of which %d got through somewhere; on this machine these had nothing to find: %q", len(all), len(all)-len(never), never)
	if len(all)-len(never) < 75 {
		t.Errorf("only %d tries are shown to be able to fail", len(all)-len(never))
	}
	for _, name := range []string{"CapEff", "filter", "no-new-privileges", "net-namespace", "pid-namespace", "read /etc/shadow", "make a file in /etc", "look into /home",
		"talk to /run/dbus/system_bus_socket", "process 1", "other processes", "become root", "change the root", "make a user namespace",
		"make a user namespace by clone3", "join a namespace", "mount", "make a file system", "a ring of calls", "add a key", "open by handle", "make a disk's device",
		"trace the first process", "the first process's root", "a raw socket", "set the host's name"} {
		if !got[name] {
			t.Errorf("%q got through nowhere", name)
		}
	}
}

// TestAWeakGuestIsRefused: what an administrator adds to a guest's profile is
// tried, too, and nobody is let into a session in which something could be kept.
func TestAWeakGuestIsRefused(t *testing.T) {
	shared := filepath.Join(dir, "shared")
	if err := os.MkdirAll(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ lines, through string }{
		"weak-writable": {"bind " + shared + " /usr/local/shared", "keep something in /usr/local/shared"},
		"weak-homes":    {"bind -r " + filepath.Dir(home) + " /root", "look into /root"},
		"weak-socket":   {"bind -r /run /run/user/61000", "look into /run/user"},
	} {
		p := profile{name, fmt.Sprintf("namespace = %q\n[isolation]\nuser = \"dynamic\"\n", c.lines), 0}
		if err := p.write(); err != nil {
			t.Fatal(err)
		}
		out, err := run(guest, name, "echo", "let in")
		if err == nil || strings.Contains(out, "let in\n") || !strings.Contains(out, c.through) {
			t.Errorf("%s: %v: want a refusal that names %q:\n%s", name, err, c.through, out)
		}
	}
}

// eventually waits for what is about to be so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after half a minute it is not so that %s", what)
		}
	}
}

// TestGuestsLeaveNothing: what is found afterwards is what was there before, and a
// guest whose keeper was killed is found by the next sweep.
func TestGuestsLeaveNothing(t *testing.T) {
	if out, err := run(guest, "visitor", "sh", "-c", "(sleep 1000 &) ; setsid sleep 1000 & echo x > ~/f; echo x > /tmp/f; echo x > /var/tmp/f; ipcmk -M 4096 >/dev/null; exit 5"); err == nil || !strings.Contains(err.Error(), "5") {
		t.Fatalf("%v: %s", err, out)
	}
	killed := sessionctl("run", "visitor", "--", "sleep", "1000")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	var all []struct{ Name, State string }
	list := func() {
		t.Helper()
		out, err := sessionctl("guest", "list", "--json").Output()
		if err == nil {
			all = nil
			err = json.Unmarshal(out, &all)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	eventually(t, "the second guest is in", func() bool {
		list()
		return slices.ContainsFunc(all, func(g struct{ Name, State string }) bool {
			out, _ := sessionctl("guest", "report", g.Name, "--json").Output()
			return g.State == "live" && strings.Contains(string(out), "filter")
		})
	})
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	for _, g := range all {
		uid, err := strconv.Atoi(strings.TrimPrefix(g.Name, "guest-"))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "processes of "+g.Name+" are gone", func() bool { return len(processesOf(t, uid)) == 0 })
		for _, kind := range []string{"shm", "sem", "msg"} {
			b, err := os.ReadFile("/proc/sysvipc/" + kind)
			if err == nil && slices.Contains(strings.Fields(string(b)), strconv.Itoa(uid)) {
				t.Errorf("%s left %s: %s", g.Name, kind, b)
			}
		}
	}
}
