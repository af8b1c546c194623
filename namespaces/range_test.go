package namespaces_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

// rangePlan is a session whose ids are others on the host, with a kept upper.
func rangePlan(t *testing.T, dir string) *plan.Plan {
	t.Helper()
	for _, d := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	ns := plan.Namespaces{PID: true, IPC: true, UTS: true, Net: plan.NetHost, User: plan.UserRange, First: 0x6ffe0000}
	p := hostPlan(t, ns, 0)
	root := p.Ops[1].(plan.Overlay)
	root.Upper, root.Flags = &plan.Upper{Dir: dir}, plan.Flags{NoDev: true}
	p.Ops[1] = root
	p.Ops = append(p.Ops, plan.Privileges{Capabilities: []string{"cap_chown", "cap_dac_override", "cap_fowner", "cap_fsetid", "cap_setgid", "cap_setuid", "cap_setfcap", "cap_kill"}})
	return p
}

// Root of a range is root inside, and nobody outside: what it writes has the
// plain ids on disk, and its processes have those of the range.
func TestARangesRootIsNobodyOutside(t *testing.T) {
	needs.Root(t)
	dir, err := os.MkdirTemp("/var/tmp", "range-") // no overlay lies on a tmpfs's mapped ids everywhere
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	out, status := output(t, rangePlan(t, dir), "sh", "-ec", `
id -u; stat -c %u /etc/shadow /etc/passwd /run /tmp /dev/null
echo changed >>/etc/hostname
mkdir -p /srv/made; touch /srv/made/a; chown 1234:4321 /srv/made/a
cp /bin/cat /srv/made/cat; chmod 4755 /srv/made/cat
rm -f /etc/issue
ln -sf there /srv/made/link
awk '{print "map", $2}' /proc/self/uid_map
(echo 1 >/proc/sys/kernel/sysrq) 2>/dev/null && echo wrote a knob
(echo 1 >/sys/kernel/profiling) 2>/dev/null && echo wrote sysfs
kill -0 $PPID
true`)
	if status.Code != 0 {
		t.Fatalf("exit status %d: %s", status.Code, out)
	}
	if want := "0\n0\n0\n0\n0\n0\nmap 1878917120\n"; out != want {
		t.Errorf("inside it is\n%swant\n%s", out, want)
	}
	for name, uid := range map[string]uint32{"srv/made": 0, "srv/made/a": 1234, "srv/made/cat": 0, "etc/hostname": 0, "srv/made/link": 0, "etc": 0} {
		st, err := os.Lstat(filepath.Join(dir, "upper", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if s := st.Sys().(*syscall.Stat_t); s.Uid != uid {
			t.Errorf("on disk %s belongs to uid %d, want %d", name, s.Uid, uid)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, "upper/srv/made/cat")); err != nil || st.Mode()&os.ModeSetuid == 0 {
		t.Errorf("a setuid program: %v, %v", st, err)
	}
	// What was written is there the next time, and a setuid program works.
	out, _ = output(t, rangePlan(t, dir), "sh", "-c", "tail -n 1 /etc/hostname; ls /etc/issue; stat -c %u:%g:%a /srv/made/a; umask")
	if !strings.HasPrefix(out, "changed\n") || !strings.Contains(out, "1234:4321:644\n0022\n") || !strings.Contains(out, "No such file") {
		t.Errorf("the next session sees\n%s", out)
	}
	s, err := namespaces.Start(t.Context(), rangePlan(t, dir), namespaces.Command{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	master, slave := hostTerminal(t)
	joined, err := s.Enter(namespaces.Command{Argv: []string{"sh", "-c", `id -u; stat -c "owner %u" "$(tty)"; echo "wrote the terminal" >"$(tty)"`}, Stdin: slave, Stdout: slave, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := joined.Wait(); err != nil || status.Code != 0 {
		t.Errorf("a command that joined: %v, %v", status, err)
	}
	if err := master.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	want := "0\r\nowner 0\r\nwrote the terminal\r\n"
	seen := make([]byte, len(want))
	if _, err := io.ReadFull(master, seen); err != nil || string(seen) != want {
		t.Errorf("on its terminal: %q, %v; want %q", seen, err, want)
	}
	if _, err := os.Stat("/srv/made"); err == nil {
		t.Error("a write inside reached the host")
	}
}
