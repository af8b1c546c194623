package attack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a try says first.
const (
	held    = "held: "
	through = "through: "
)

// broke is the error of a try that got through; any other says what held.
type broke string

func (b broke) Error() string { return string(b) }

// tries are what an attacker does in a session.
var tries = map[string]func(args []string) error{
	"descriptors": onlyStandardDescriptors,
	"umask":       strictUmask,
	"old-root": func([]string) error {
		return readable("/proc/1/root/.", "/proc/1/cwd/.", "/proc/1/exe", "/proc/1/fd/0", "/proc/1/fd/3", "/proc/1/fd/4", "/proc/1/mem")
	},
	"trace-init":    traceInit,
	"kill-init":     killInit,
	"knobs":         writeKnobs,
	"devices":       makeDevice,
	"run":           func(args []string) error { return runs(args[0]) },
	"key":           findKey,
	"terminal":      typeIntoTerminals,
	"setuid-self":   becomeRoot,
	"nested":        nestedNamespace,
	"cover-lib":     coverLibrary,
	"vsock":         socketOf(unix.AF_VSOCK),
	"alg":           socketOf(unix.AF_ALG),
	"calls":         filteredCalls,
	"look":          func(args []string) error { return readable(args...) },
	"tasks":         forkBomb,
	"xattrs":        plantXattrs,
	"runaway":       runAway,
	"probe-capable": probeCapable,
	"bomb":          bomb,
	"eat":           eat,
	"waits":         waits,
	"capable":       capable,
	"set-knob":      setKnob,
	"set-sysfs":     setSysfs,
	"release-agent": releaseAgent,
	"leave-cgroup":  leaveCgroup,
	"join":          join,
	"change":        change,
	"forks":         forks,
}

func try(name string, args []string) int {
	f, ok := tries[name]
	if !ok {
		fmt.Println("no try is called", name)
		return 1
	}
	var got broke
	switch err := f(args); {
	case errors.As(err, &got):
		fmt.Println(through + string(got))
		return 1
	case err != nil:
		fmt.Println(held + err.Error())
	default:
		fmt.Println(held + "nothing to be had")
	}
	return 0
}

func onlyStandardDescriptors([]string) error {
	// The runtime opens descriptors of its own: an eventfd, an epoll.
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, n := range names {
		to, err := os.Readlink("/proc/self/fd/" + n.Name())
		own := strings.HasPrefix(to, "anon_inode:[event") || strings.HasSuffix(to, "/fd")
		if fd, _ := strconv.Atoi(n.Name()); err == nil && fd > 2 && !own {
			return broke(n.Name() + " -> " + to)
		}
	}
	return nil
}

func strictUmask([]string) error {
	if mask := unix.Umask(0o022); mask&0o022 != 0o022 {
		return broke(fmt.Sprintf("the umask is %04o", mask))
	}
	return nil
}

func readable(names ...string) error {
	var last error
	for _, n := range names {
		f, err := os.Open(n)
		if err == nil {
			f.Close()
			return broke("opened " + n)
		}
		last = err
	}
	return last
}

// initPID is ninefold-init: our parent, or for who joined the PID namespace, and has
// a parent outside, the first process.
func initPID() int { return max(os.Getppid(), 1) }

func traceInit([]string) error {
	runtime.LockOSThread()
	if err := unix.PtraceSeize(initPID()); err == nil {
		return broke("traces the first process")
	} else if f, err2 := os.OpenFile(fmt.Sprintf("/proc/%d/mem", initPID()), os.O_RDWR, 0); err2 == nil {
		f.Close()
		return broke("opened the memory of the first process")
	} else {
		return err
	}
}

func killInit([]string) error {
	pid := initPID()
	for _, sig := range []syscall.Signal{unix.SIGKILL, unix.SIGSTOP} {
		_ = unix.Kill(pid, sig)
	}
	time.Sleep(50 * time.Millisecond)
	if initPID() != pid {
		return broke("the first process is gone and this one lives")
	}
	return nil
}

func writeKnobs([]string) error {
	var last error
	for _, n := range []string{"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper", "/sys/power/state"} {
		f, err := os.OpenFile(n, os.O_WRONLY, 0)
		if err == nil {
			f.Close()
			return broke("opened " + n + " for writing")
		}
		last = err
	}
	return last
}

func makeDevice([]string) error {
	var last error
	for _, d := range []string{"/tmp", "/run", "/dev", "/dev/shm", "/", os.Getenv("HOME")} {
		name := filepath.Join(d, "ninefold-device")
		if last = unix.Mknod(name, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0))); last == nil {
			os.Remove(name)
			return broke("made " + name)
		}
	}
	return last
}

// runs executes a program that is setuid root on the host.
func runs(name string) error {
	pid, err := syscall.ForkExec(name, []string{name, "try", "setuid-self"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err != nil {
		return err
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return err
	}
	if status.ExitStatus() != 0 {
		return broke("the program had root's rights")
	}
	return nil
}

func becomeRoot([]string) error {
	if os.Geteuid() == 0 {
		return broke("effective uid 0")
	}
	if err := unix.Setresuid(-1, 0, -1); err == nil {
		return broke("became root")
	}
	return nil
}

func findKey(args []string) error {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", args[0], 0)
	if err == nil {
		return broke(fmt.Sprintf("found the key %d of the caller's login", id))
	}
	return err
}

func typeIntoTerminals([]string) error {
	c := byte('!')
	var last error
	for fd := range 3 {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&c))); e == 0 {
			return broke(fmt.Sprintf("typed into descriptor %d", fd))
		} else {
			last = e
		}
	}
	if f, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0); err == nil {
		f.Close()
		return broke("the caller's terminal is at /dev/tty")
	}
	return last
}

func coverLibrary([]string) error {
	err := unix.Mount("none", "/run/ninefold/lib", "tmpfs", 0, "")
	if err == nil {
		return broke("mounted over /run/ninefold/lib")
	}
	if f, err := os.OpenFile("/run/ninefold/lib/ninefold-init", os.O_WRONLY, 0); err == nil {
		f.Close()
		return broke("opened ninefold-init for writing")
	}
	if err := os.WriteFile("/run/ninefold/session", []byte("class=trusted\n"), 0o644); err == nil && os.Geteuid() != 0 {
		return broke("wrote the session's record")
	}
	return err
}

func socketOf(family int) func([]string) error {
	return func([]string) error {
		fd, err := unix.Socket(family, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err == nil || !errors.Is(err, unix.EAFNOSUPPORT) {
			unix.Close(fd)
			return broke(fmt.Sprintf("the filter let socket family %d pass: %v", family, err))
		}
		return err
	}
}

func filteredCalls([]string) error {
	for name, call := range map[string]uintptr{
		"unshare": unix.SYS_UNSHARE, "io_uring_setup": unix.SYS_IO_URING_SETUP, "bpf": unix.SYS_BPF, "userfaultfd": unix.SYS_USERFAULTFD,
		"perf_event_open": unix.SYS_PERF_EVENT_OPEN, "open_tree_attr": unix.SYS_OPEN_TREE_ATTR, "quotactl_fd": unix.SYS_QUOTACTL_FD, "fanotify_init": unix.SYS_FANOTIFY_INIT,
	} {
		if _, _, e := unix.Syscall6(call, ^uintptr(0), 0, 0, 0, 0, 0); e != unix.EPERM {
			return broke(fmt.Sprintf("%s: %v", name, e))
		}
	}
	if _, _, e := unix.Syscall(unix.SYS_CLONE3, 0, 0, 0); e != unix.ENOSYS {
		return broke(fmt.Sprintf("clone3: %v", e))
	}
	if _, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.CLONE_NEWUSER|unix.SIGCHLD), 0, 0, 0, 0, 0); e != unix.EPERM {
		return broke(fmt.Sprintf("clone with a user namespace: %v", e))
	}
	if runtime.GOARCH == "amd64" {
		if _, _, e := unix.RawSyscall(0x40000000+unix.SYS_GETPID, 0, 0, 0); e != unix.ENOSYS {
			return broke(fmt.Sprintf("a call of x32: %v", e))
		}
	}
	return nil
}

// plantXattrs writes what an overlay would take for its own: redirects lead a
// directory elsewhere, metacopy a file to other content.
func plantXattrs([]string) error {
	name := "/var/tmp/ninefold-xattr"
	if err := os.MkdirAll(name, 0o755); err != nil {
		return err
	}
	var last error
	for _, attr := range []string{"trusted.overlay.redirect", "trusted.overlay.opaque", "trusted.overlay.metacopy"} {
		if last = unix.Setxattr(name, attr, []byte("/etc"), 0); last == nil {
			return broke("set " + attr)
		}
	}
	return last
}

// forkBomb makes processes until something stops it.
func forkBomb([]string) error {
	for n := range 2000 {
		pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{})
		if err != nil {
			if n > 64 {
				return broke(fmt.Sprintf("%d processes", n))
			}
			return err
		}
		_ = pid
	}
	return broke("2000 processes")
}

// runAway starts chains of processes, each of which forks the next and ends.
func runAway([]string) error {
	for range 4 {
		if pid, _, e := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0); e == 0 && pid == 0 {
			for {
				if pid, _, e := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0); e == 0 && pid != 0 {
					syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
				}
			}
		}
	}
	return nil
}

// probeCapable runs a program as the attacker's uid with all capabilities that this
// session has.
func probeCapable(args []string) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(string(status), "\nCapPrm:\t")
	set, err := strconv.ParseUint(after[:16], 16, 64)
	if err != nil {
		return err
	}
	var ambient []uintptr
	for bit := range uintptr(64) {
		if set&(1<<bit) != 0 {
			ambient = append(ambient, bit)
		}
	}
	c := exec.Command(args[0], args[1:]...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: attackerUID, Gid: attackerUID}, AmbientCaps: ambient}
	if err := c.Run(); err != nil {
		return broke(err.Error())
	}
	return nil
}
