package attack

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// around are attacks on what keeps guests apart outside of their sessions: on who is let in, on
// clean-up, and on ids. Each is tried on the programs as they are, where it is denied, and on a
// build that is weakened, where it gets through.
var around = []struct {
	name string
	by   string // what denies it
	// In that file of the tree, with stands in the place of what in the weakened build.
	file, what, with string
	do               func(t *testing.T, k build) error
}{
	{"come in although what must fail works", "the probe's word", "sessiond/guests/probe.go",
		"if len(through) > 0 || status.Code != 0 {", "if len(through) > maxProbe {", comesIn},
	{"come in later, without the filter", "joining is starting", "namespaces/join.go",
		"	c.Guard = nil\n", "	c.Guard = nil\n	s.first.privileges.Seccomp = \"\"\n", joinsUnfiltered},
	{"leave a file to the next who has the id", "the search", "sessiond/guests/search.go",
		"if ids[id] && len(", "if !ids[id] && len(", leavesFile},
	{"leave shared memory to the next who has the id", "the look at what the kernel has", "sessiond/guests/left.go",
		"(f[owner] == who || f[maker] == who)", "f[owner] == who && f[maker] == who", leavesMemory},
	{"leave a process to the next who has the id", "the look at what the kernel has", "sessiond/guests/left.go",
		"	for _, p := range processes {", "	for _, p := range processes[:0] {", leavesProcess},
	{"have clean-up remove somebody's file, by a link in its way", "no link is followed", "sessiond/guests/sweep.go",
		"unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|", "unix.O_PATH|unix.O_DIRECTORY|", linksAstray},
	{"have more guests at once than a user may", "places under locks", "sessiond/guests/owner.go",
		"for n := range g.of.most {", "for n := range 16 * g.of.most {", hasMany},
}

// TestAttacksAroundSessions tries them on both builds.
func TestAttacksAroundSessions(t *testing.T) {
	intact, weak := build{bin}, build{weakBuild(t)}
	for _, a := range around {
		t.Run(a.name, func(t *testing.T) {
			if err := a.do(t, intact); err != nil {
				t.Errorf("got through: %v", err)
			}
			if err := a.do(t, weak); err == nil {
				t.Errorf("is denied without %q, too, and proves nothing", a.by)
			} else {
				t.Logf("denied by %s; without that: %v", a.by, err)
			}
		})
	}
}

// weakBuild builds the programs with all weaknesses and returns where they are.
func weakBuild(t *testing.T) string {
	t.Helper()
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, a := range around {
		name := filepath.Join(top, a.file)
		if texts[name] == "" {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(b)
		}
		if strings.Count(texts[name], a.what) != 1 {
			t.Fatalf("%s: %q does not stand once in %s, so nothing is weakened", a.name, a.what, a.file)
		}
		texts[name] = strings.Replace(texts[name], a.what, a.with, 1)
	}
	at := t.TempDir()
	replaced := map[string]string{}
	for name, text := range texts {
		to := filepath.Join(at, strings.ReplaceAll(strings.TrimPrefix(name, top+"/"), "/", "-"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[name] = to
	}
	b, _ := json.Marshal(map[string]any{"Replace": replaced})
	if err := os.WriteFile(at+"/overlay.json", b, 0o600); err != nil {
		t.Fatal(err)
	}
	// Beside the other programs, where a guest's session finds them.
	weak := filepath.Join(dir, "weak")
	if out, err := exec.Command("cp", "-r", "--", bin, weak).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	compile := exec.Command("go", "build", "-trimpath", "-overlay", at+"/overlay.json", "-o", weak+"/", "ninefold/cmd/sessionctl", "ninefold/cmd/ninefold-ctl")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("build the weakened programs: %v\n%s", err, out)
	}
	return weak
}

// build is the programs of one build, by their directory.
type build struct{ bin string }

func (k build) state() string { return k.bin + "-state" }

func (k build) sessionctl(args ...string) *exec.Cmd {
	cmd := exec.Command(k.bin+"/sessionctl", append([]string{"--config", dir + "/config", "--state", k.state()}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

// one has a guest in, who leaves, and returns its uid.
func (k build) one(t *testing.T) int {
	t.Helper()
	out, err := k.sessionctl("run", "visitor", "--", "id", "-u").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	uid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

// sweep searches what is of this test, for want of time not the whole machine.
func (k build) sweep(t *testing.T) string {
	t.Helper()
	small := t.TempDir()
	if err := unix.Mount("attack", small, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(small, unix.MNT_DETACH) }()
	for _, shown := range []string{dir, "/proc", "/run"} {
		if err := os.MkdirAll(small+shown, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(shown, small+shown, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			t.Fatal(err)
		}
	}
	cmd := k.sessionctl("guest", "sweep")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: small}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "remains") {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// isFree sweeps, and is an error when the id is free for the next guest.
func (k build) isFree(t *testing.T, uid int) error {
	t.Helper()
	out := k.sweep(t)
	if _, err := os.Stat(fmt.Sprintf("%s/guests/taken/%d", k.state(), uid)); err != nil {
		return fmt.Errorf("the id is free: %s", out)
	}
	return nil
}

func comesIn(t *testing.T, k build) error {
	shared := filepath.Join(dir, "kept-shared")
	if err := os.MkdirAll(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	p := profile{"kept-writable", fmt.Sprintf("namespace = \"bind %s /usr/local/shared\"\n[isolation]\nuser = \"dynamic\"\n", shared), 0}
	if err := p.write(); err != nil {
		t.Fatal(err)
	}
	out, err := k.sessionctl("run", p.name, "--", "echo", "let in").CombinedOutput()
	if err == nil && strings.HasSuffix(string(out), "let in\n") {
		return broke("somebody was let in")
	}
	if !strings.Contains(string(out), "keep something in /usr/local/shared") {
		t.Errorf("%v: %s", err, out)
	}
	return nil
}

func joinsUnfiltered(t *testing.T, k build) error {
	pool := k.sessionctl("guest", "pool", "--keep", "1", "visitor")
	pool.Stderr = os.Stderr
	if err := pool.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = pool.Process.Signal(unix.SIGTERM)
		_ = pool.Wait()
	}()
	var found string
	eventually(t, "a guest gets a session that is prepared", func() bool {
		list, err := k.sessionctl("guest", "list").Output()
		if err != nil {
			t.Fatal(err)
		}
		out, err := k.sessionctl("run", "visitor", "--", "sh", "-c", "id -un; grep ^Seccomp: /proc/self/status").Output()
		f := strings.Fields(string(out))
		if err != nil || len(f) != 3 {
			t.Fatalf("%v: %s", err, out)
		}
		found = f[2]
		return slices.ContainsFunc(strings.Split(string(list), "\n"), func(line string) bool {
			return strings.HasPrefix(line, f[0]+" ") && strings.Contains(line, "waiting")
		})
	})
	if found != "2" {
		return broke("it has no filter")
	}
	return nil
}

func leavesFile(t *testing.T, k build) error {
	uid := k.one(t)
	name := filepath.Join(dir, "left-behind")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	if err := os.Chown(name, uid, uid); err != nil {
		t.Fatal(err)
	}
	return k.isFree(t, uid)
}

func leavesMemory(t *testing.T, k build) error {
	uid := k.one(t)
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) }()
	var about unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &about); err != nil {
		t.Fatal(err)
	}
	about.Perm.Uid = uint32(uid)
	if _, err := unix.SysvShmCtl(id, unix.IPC_SET, &about); err != nil {
		t.Fatal(err)
	}
	return k.isFree(t, uid)
}

func leavesProcess(t *testing.T, k build) error {
	uid := k.one(t)
	left := exec.Command("sleep", "1000")
	left.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = left.Process.Kill()
		_ = left.Wait()
	}()
	return k.isFree(t, uid)
}

// linksAstray puts a link where clean-up takes away what lightdm made for a guest.
func linksAstray(t *testing.T, k build) error {
	uid := k.one(t)
	theirs := filepath.Join(dir, "theirs")
	if err := os.MkdirAll(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(theirs+"/xauthority", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/lightdm", 0o711); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("attack", "/run/lightdm", "tmpfs", 0, "mode=0711"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount("/run/lightdm", unix.MNT_DETACH) }()
	if err := os.Symlink(theirs, fmt.Sprintf("/run/lightdm/guest-%d", uid)); err != nil {
		t.Fatal(err)
	}
	k.sweep(t)
	if _, err := os.Stat(theirs + "/xauthority"); err != nil {
		return broke("it is gone")
	}
	return nil
}

// hasMany has a user's guests in, as the daemon begins them.
func hasMany(t *testing.T, k build) error {
	const most = 2 // what guests.each in ninefold.toml is by itself
	in := 0
	for range most + 1 {
		cmd := k.sessionctl("run", "--guest", "--for", strconv.Itoa(attackerUID), "visitor", "--", "sh", "-c", "echo in; sleep 1000")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Signal(unix.SIGTERM)
			_ = cmd.Wait()
		}()
		said := make([]byte, 8)
		if n, _ := out.Read(said); n > 0 {
			in++
		}
	}
	if in > most {
		return broke(fmt.Sprintf("%d are in", in))
	}
	if in < most {
		t.Errorf("only %d are in", in)
	}
	return nil
}
