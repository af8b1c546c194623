package pamhook

import (
	"bytes"
	"debug/elf"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/door"
	"ninefold/tests/needs"
)

// wrapper installs ninefold-enter as the package does.
func wrapper(t testing.TB, capabilities string) string {
	t.Helper()
	b, err := os.ReadFile(built(t, "ninefold-enter"))
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(tempDir(t), "ninefold-enter")
	if err := os.WriteFile(p, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if capabilities == "" {
		return p
	}
	if out, err := exec.Command("setcap", capabilities, p).CombinedOutput(); err != nil {
		t.Fatalf("setcap: %v: %s", err, out)
	}
	return p
}

const (
	fileCaps = "cap_sys_admin,cap_sys_chroot=p"
	// what is what the wrapper's command tells of itself.
	what = "readlink /proc/self/ns/mnt; pwd; id -u; ls /mnt; env | grep ^NINEFOLD_ | sort; ls -l /proc/self/fd >&2; grep -E '^(Cap|NoNew)' /proc/self/status"
)

// as runs the wrapper as the person.
func as(t testing.TB, enter string, args ...string) result {
	t.Helper()
	cmd := exec.Command(enter, args...)
	cmd.SysProcAttr = asUser(personUID)
	return finish(t, cmd)
}

func manager(t testing.TB, enter string) result {
	t.Helper()
	return as(t, enter, "user@", "--", "/bin/sh", "-c", what)
}

// powerless checks that a command on any path has no capability at all.
func powerless(t testing.TB, r result) {
	t.Helper()
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		contains(t, "the status", r.out, set+":\t0000000000000000\n")
	}
	lacks(t, "the command's descriptors", r.errors, "socket:")
	lacks(t, "the command's descriptors", r.errors, "mnt:[")
}

func onHost(t testing.TB, r result) {
	t.Helper()
	if r.code != 0 || !strings.HasPrefix(r.out, here(t)+"\n") {
		t.Errorf("not on the host: exit %d\n%s%s", r.code, r.out, r.errors)
	}
	powerless(t, r)
}

func TestTheManagerEntersTheView(t *testing.T) {
	needs.Root(t)
	v := newView(t)
	p := listen(t, v.enter("NINEFOLD_PROFILE=desk", "NINEFOLD_VIEW=v1"))
	cmd := exec.Command(wrapper(t, fileCaps), "user@", "--", "/bin/sh", "-c", what)
	cmd.SysProcAttr = asUser(personUID)
	cmd.Dir = scratch + "/home"
	cmd.Env = []string{"NINEFOLD_PROFILE=old", "NINEFOLD_PROFILEX=mine"}
	r := finish(t, cmd)
	want := v.id() + "\n" + scratch + "/home\n4901\nin-the-view\nNINEFOLD_PROFILE=desk\nNINEFOLD_PROFILEX=mine\nNINEFOLD_VIEW=v1\n"
	if r.code != 0 || !strings.HasPrefix(r.out, want) {
		t.Errorf("exit %d, got\n%swant\n%s%s", r.code, r.out, want, r.errors)
	}
	powerless(t, r)
	// sudo has to work in a trusted view.
	contains(t, "the status", r.out, "NoNewPrivs:\t0")
	lacks(t, "the status", r.out, "CapBnd:\t0000000000000000")
	if q := p.requests(); len(q) != 1 || q[0].Op != door.Manager || q[0].UID != personUID || q[0].User != "" || q[0].Choice != "" {
		t.Errorf("asked %+v", q)
	}
}

func TestASessionEntryChooses(t *testing.T) {
	needs.Root(t)
	p := listen(t, newView(t).enter())
	enter := wrapper(t, fileCaps)
	for choice, want := range map[string]string{"dev": "dev", "d\x1bv": "?", strings.Repeat("y", 128): "?"} {
		r := as(t, enter, "session", "-p", choice, "--", "/bin/sh", "-c", what)
		contains(t, "stdout", r.out, "in-the-view")
		q := p.requests()
		if last := q[len(q)-1]; last.Op != door.Join || last.Choice != want {
			t.Errorf("asked %+v", last)
		}
	}
}

// An untrusted view has a user namespace, and nothing to gain privilege with.
func TestTheManagerEntersAnUntrustedView(t *testing.T) {
	needs.Root(t)
	v := newUntrustedView(t)
	listen(t, func(door.Request) (door.Reply, []*os.File) {
		return door.Reply{Verdict: door.Enter, FDs: []door.FDKind{door.FDMount, door.FDUser}}, []*os.File{v.ns("mnt"), v.ns("user")}
	})
	r := manager(t, wrapper(t, fileCaps))
	if r.code != 0 || !strings.HasPrefix(r.out, v.id()+"\n") {
		t.Errorf("not in the view: %+v", r)
	}
	contains(t, "stdout", r.out, "\n4901\n")
	contains(t, "the status", r.out, "CapBnd:\t0000000000000000")
	contains(t, "the status", r.out, "NoNewPrivs:\t1")
	powerless(t, r)
}

func TestNoNewPrivileges(t *testing.T) {
	needs.Root(t)
	v := newView(t)
	listen(t, func(r door.Request) (door.Reply, []*os.File) {
		reply, files := v.enter()(r)
		reply.Flags = door.NoNewPrivs
		return reply, files
	})
	r := manager(t, wrapper(t, fileCaps))
	contains(t, "the status", r.out, "NoNewPrivs:\t1")
	powerless(t, r)
}

// Whatever fails before the view is entered, or can be undone, ends in the
// command on the host without a capability.
func TestTheManagerStaysOnTheHost(t *testing.T) {
	needs.Root(t)
	v := newView(t)
	empty := newView(t)
	empty.run("mount", "-t", "tmpfs", "view", "/usr/bin")
	for name, c := range map[string]struct {
		start   func(t *testing.T)
		message string
	}{
		"nobody listens":     {func(t *testing.T) { os.Remove(door.Path) }, "sessiond does not run"},
		"no /run/ninefold":   {func(t *testing.T) { away(t, "/run/ninefold") }, "sessiond does not run"},
		"another's door":     {strangersDoor, "not root's"},
		"closed":             {func(t *testing.T) { listenRaw(t, func(c *net.UnixConn, _ door.Request) { c.Close() }) }, "ended before it answered"},
		"host":               {func(t *testing.T) { listen(t, say(door.Host, "")) }, ""},
		"host with a reason": {func(t *testing.T) { listen(t, say(door.Host, "the image is not there")) }, "the image is not there"},
		"a file for a fd":    {func(t *testing.T) { listen(t, leads(t, "/etc/passwd")) }, "enter the mount namespace of the view: Invalid argument"},
		"a pid namespace":    {func(t *testing.T) { listen(t, leads(t, "/proc/self/ns/mnt", "/proc/self/ns/pid")) }, "enter the pid namespace"},
		"no command inside":  {func(t *testing.T) { listen(t, empty.enter("NINEFOLD_VIEW=v1")) }, "in the view: No such file or directory"},
		"a namespace that cannot be entered after one that was": {func(t *testing.T) {
			listen(t, func(door.Request) (door.Reply, []*os.File) {
				bad, err := os.Open("/etc/passwd")
				if err != nil {
					t.Error(err)
				}
				return door.Reply{Verdict: door.Enter, FDs: []door.FDKind{door.FDUTS, door.FDMount}}, []*os.File{v.ns("uts"), bad}
			})
		}, "enter the mount namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			c.start(t)
			r := manager(t, wrapper(t, fileCaps))
			onHost(t, r)
			lacks(t, "the environment", r.out, "NINEFOLD_")
			contains(t, "stderr", r.errors, c.message)
		})
	}
}

func TestRefusedByTheDaemon(t *testing.T) {
	needs.Root(t)
	listen(t, say(door.Refuse, "not today"))
	r := manager(t, wrapper(t, fileCaps))
	if r.code != 1 || r.out != "" {
		t.Errorf("%+v", r)
	}
	contains(t, "stderr", r.errors, "ninefold-enter: not today\n")
}

// Half in a user namespace there is no way back, so nothing is run.
func TestStuckRunsNothing(t *testing.T) {
	needs.Root(t)
	v := newUntrustedView(t)
	listen(t, func(door.Request) (door.Reply, []*os.File) {
		bad, err := os.Open("/etc/passwd")
		if err != nil {
			t.Error(err)
		}
		return door.Reply{Verdict: door.Enter, FDs: []door.FDKind{door.FDUser, door.FDMount}}, []*os.File{v.ns("user"), bad}
	})
	if r := manager(t, wrapper(t, fileCaps)); r.code != 125 || r.out != "" {
		t.Errorf("%+v", r)
	}
}

func TestAUserNamespaceWithoutTheCaller(t *testing.T) {
	needs.Root(t)
	few := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1000}}
	v := hold(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: few, GidMappings: few})
	listen(t, func(door.Request) (door.Reply, []*os.File) {
		return door.Reply{Verdict: door.Enter, FDs: []door.FDKind{door.FDMount, door.FDUser}}, []*os.File{v.ns("mnt"), v.ns("user")}
	})
	if r := manager(t, wrapper(t, fileCaps)); r.code != 125 || r.out != "" {
		t.Errorf("%+v", r)
	}
}

func TestAHangingDaemonDoesNotHoldTheManager(t *testing.T) {
	needs.Root(t)
	p := listenRaw(t, func(*net.UnixConn, door.Request) {})
	enter := wrapper(t, fileCaps)
	r := manager(t, enter)
	onHost(t, r)
	contains(t, "stderr", r.errors, "did not answer in time")
	// The module of the same login has found out before.
	if err := os.WriteFile("/run/ninefold/door.failed", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	onHost(t, manager(t, enter))
	if got := p.ops(); !slices.Equal(got, []door.Op{door.Manager}) {
		t.Errorf("asked %v", got)
	}
	// A mark that is not root's says nothing.
	if err := os.Chown("/run/ninefold/door.failed", personUID, personUID); err != nil {
		t.Fatal(err)
	}
	onHost(t, manager(t, enter))
	if got := p.ops(); len(got) != 2 {
		t.Errorf("asked %v", got)
	}
}

// What a caller without privileges can bring along: nothing of it reaches the
// command as a capability, and nothing of it stops the program from working.
func TestWhatACallerBringsAlong(t *testing.T) {
	needs.Root(t)
	v := newView(t)
	listen(t, v.enter())
	enter := wrapper(t, fileCaps)

	t.Run("ambient capabilities", func(t *testing.T) {
		cmd := exec.Command(enter, "user@", "--", "/bin/sh", "-c", what)
		cmd.SysProcAttr = asUser(personUID)
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_WAKE_ALARM}
		r := finish(t, cmd)
		contains(t, "stdout", r.out, "in-the-view")
		powerless(t, r)
	})
	t.Run("ambient capabilities without file capabilities", func(t *testing.T) {
		cmd := exec.Command(wrapper(t, ""), "user@", "--", "/bin/sh", "-c", what)
		cmd.SysProcAttr = asUser(personUID)
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_WAKE_ALARM}
		onHost(t, finish(t, cmd))
	})
	t.Run("no file capabilities", func(t *testing.T) {
		r := manager(t, wrapper(t, ""))
		onHost(t, r)
		contains(t, "stderr", r.errors, "no capability to enter a view")
	})
	t.Run("no_new_privs", func(t *testing.T) {
		cmd := exec.Command("setpriv", "--no-new-privs", enter, "user@", "--", "/bin/sh", "-c", what)
		cmd.SysProcAttr = asUser(personUID)
		onHost(t, finish(t, cmd))
	})
	t.Run("a smaller bounding set", func(t *testing.T) {
		cmd := exec.Command("setpriv", "--bounding-set", "-sys_admin", "--reuid", "4901", "--regid", "4901", "--clear-groups", enter, "user@", "--", "/bin/sh", "-c", what)
		onHost(t, finish(t, cmd))
	})
	t.Run("closed descriptors", func(t *testing.T) {
		out := filepath.Join(scratch, "home", "fds")
		r := as(t, "/bin/sh", "-c", `exec "$0" user@ -- /bin/sh -c "ls -l /proc/self/fd >`+out+`" <&- >&- 2>&-`, enter)
		b, err := os.ReadFile(out)
		if err != nil || r.code != 0 {
			t.Fatal(err, r)
		}
		contains(t, "the command's descriptors", string(b), " 0 -> /dev/null")
		contains(t, "the command's descriptors", string(b), " 2 -> /dev/null")
		lacks(t, "the command's descriptors", string(b), "socket:")
	})
	t.Run("no descriptors to be had", func(t *testing.T) {
		// A static command, since the dynamic linker could not work either.
		r := as(t, "/bin/sh", "-c", `ulimit -n 3; exec "$0" user@ -- "$0"`, enter)
		contains(t, "stderr", r.errors, "sessiond could not be asked")
		contains(t, "stderr", r.errors, "usage:")
	})
	t.Run("another group", func(t *testing.T) {
		cmd := exec.Command("setpriv", "--regid", "4901", "--clear-groups", "--ruid", "4901", "--euid", "499", enter, "user@", "--", "/bin/sh", "-c", what)
		r := finish(t, cmd)
		lacks(t, "stdout", r.out, "in-the-view")
	})
	t.Run("preloaded code", func(t *testing.T) {
		f, err := elf.Open(enter)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("not a static program: it has a %v", p.Type)
			}
		}
	})
	t.Run("a debugger", func(t *testing.T) {
		// Started by a tracer without privileges, the program has none either.
		r := as(t, "strace", "-f", "-o", "/dev/null", enter, "user@", "--", "/bin/sh", "-c", what)
		lacks(t, "stdout", r.out, "in-the-view")
	})
	t.Run("root", func(t *testing.T) {
		r := finish(t, exec.Command(enter, "user@", "--", "/bin/sh", "-c", what))
		lacks(t, "stdout", r.out, "in-the-view")
		contains(t, "the status", r.out, "CapAmb:\t0000000000000000")
	})
	for name, args := range map[string][]string{
		"nothing": {}, "no command": {"user@"}, "no dashes": {"user@", "/bin/true"}, "nothing behind the dashes": {"user@", "--"},
		"a name to be found in PATH": {"user@", "--", "id"}, "a mode that is none": {"login", "--", "/bin/true"},
		"a profile for the manager": {"user@", "-p", "dev", "--", "/bin/true"}, "no profile": {"session", "-p", "--", "/bin/true"},
	} {
		t.Run("usage/"+name, func(t *testing.T) {
			if r := as(t, enter, args...); r.code != 125 || r.out != "" {
				t.Errorf("%+v", r)
			}
		})
	}
}

// In a user namespace of their own a user has the file's capabilities over what
// is theirs anyway, and the command still gets none of them. Outside of one the
// command can do nothing that the user could not.
func TestWhatTheCommandCanDo(t *testing.T) {
	needs.Root(t)
	listen(t, say(door.Host, ""))
	enter := wrapper(t, fileCaps)
	const try = "mount -t tmpfs x /mnt 2>&1; chroot / true 2>&1; unshare -m true 2>&1; nsenter -t 1 -m true 2>&1; grep ^Cap /proc/self/status"
	for name, how := range map[string][]string{
		"as a user":              {enter},
		"in a user namespace":    {"unshare", "--user", "--map-user=4901", "--keep-caps", enter},
		"with a root of my own":  {"unshare", "--user", "--map-root-user", "--mount", "setpriv", "--reuid=0", enter},
		"after another wrapping": {enter, "user@", "--", enter},
	} {
		t.Run(name, func(t *testing.T) {
			r := as(t, how[0], append(how[1:], "user@", "--", "/bin/sh", "-c", try)...)
			if name == "with a root of my own" {
				// uid 0 of a user namespace regains its capabilities by execve(2), over that
				// namespace alone: the host's is what must stay out of reach.
				contains(t, "nsenter", r.out, "nsenter: ")
				return
			}
			for _, refusal := range []string{"mount: ", "chroot: ", "unshare: ", "nsenter: "} {
				contains(t, "stdout", r.out, refusal)
			}
			powerless(t, r)
		})
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || bytes.Contains(b, []byte(" /mnt ")) {
		t.Errorf("something is mounted on /mnt: %v\n%s", err, b)
	}
}

func TestGarbageAtTheDoor(t *testing.T) {
	needs.Root(t)
	enter := wrapper(t, fileCaps)
	v := newView(t)
	good := func(r door.Request) []byte {
		b, err := door.Reply{Op: r.Op, Verdict: door.Enter, FDs: []door.FDKind{door.FDMount}, View: "v", Message: "m", Environment: []string{"NINEFOLD_A=b"}}.Encode()
		if err != nil {
			t.Error(err)
		}
		return b
	}
	set := func(at int, with ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], with); return b }
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"empty": func([]byte) []byte { return []byte{0} }, "short": func(b []byte) []byte { return b[:len(b)-1] }, "long": func(b []byte) []byte { return append(b, 0) },
		"magic": set(0, 0), "length": set(4, 1), "version": set(8, 9), "op": set(10, 9), "verdict 0": set(12, 0), "verdict 4": set(12, 4),
		"too few descriptors": set(20, 2), "too many": set(20, 255, 255, 255, 255), "no kind": set(24, 0), "a kind that is none": set(24, 8), "kind 255": set(24, 255),
		"a kind behind the end": set(25, 2), "no mount namespace": set(24, 5), "host with descriptors": set(12, 2),
		"an endless view": set(32, bytes.Repeat([]byte("v"), 64)...), "an endless profile": set(96, bytes.Repeat([]byte("v"), 128)...), "an endless message": set(224, bytes.Repeat([]byte("v"), 512)...),
		"no name": set(736, '='), "no value": set(736, []byte("NINEFOLD\x00")...), "an odd name": set(736, 'A', '-', 'B', '='), "something behind the environment": set(1700, 'x'),
		"an endless environment": set(736, bytes.Repeat([]byte("E=1\x00"), 256)...), "an environment without an end": set(736, bytes.Repeat([]byte("E"), 1024)...),
	} {
		t.Run(name, func(t *testing.T) {
			listenRaw(t, func(c *net.UnixConn, r door.Request) {
				f := v.ns("mnt")
				defer f.Close()
				send(t, c, spoil(good(r)), []*os.File{f})
			})
			r := manager(t, enter)
			onHost(t, r)
			contains(t, "stderr", r.errors, "sessiond's answer was not understood")
		})
	}
	t.Run("more descriptors than fit", func(t *testing.T) {
		listenRaw(t, func(c *net.UnixConn, r door.Request) {
			var files []*os.File
			for range 20 {
				files = append(files, v.ns("mnt"))
			}
			send(t, c, good(r), files)
			for _, f := range files {
				f.Close()
			}
		})
		onHost(t, manager(t, enter))
	})
	t.Run("random", func(t *testing.T) {
		listenRaw(t, func(c *net.UnixConn, _ door.Request) {
			f, err := os.Open("/dev/urandom")
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			b := make([]byte, 1760)
			_, _ = io.ReadFull(f, b)
			send(t, c, b, []*os.File{f})
		})
		for range 20 {
			onHost(t, manager(t, enter))
		}
	})
}
