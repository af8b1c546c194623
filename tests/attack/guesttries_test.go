package attack

import (
	"errors"
	"fmt"
	"net"
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

func broken(err error, format string, args ...any) error {
	if err == nil {
		return broke(fmt.Sprintf(format, args...))
	}
	return err
}

// makeKept leaves a file where it would stay.
func makeKept([]victim) error {
	name := guestBin + "-shared/kept"
	err := os.WriteFile(name, nil, 0o600)
	return broken(err, "made %s", name)
}

// copyUp has an overlay copy a program with its mode into the writable layer.
func copyUp([]victim) error {
	return broken(opensToWrite("/usr/bin/passwd"), "opened /usr/bin/passwd to write")
}

func linkSetuid([]victim) error {
	return broken(os.Link("/usr/bin/passwd", "/usr/bin/.linked"), "made the link")
}

// setKnob opens a file of procfs to write, and writes nothing. Where it is read-only, a
// procfs of one's own is not.
func setKnob(args []string) error {
	err := opensToWrite("/proc/" + args[0])
	if err == nil {
		return broke("opened it")
	}
	return errors.Join(err, inNew("proc", args[0]))
}

func setSysfs([]string) error {
	var last error
	for _, name := range []string{"kernel/uevent_helper", "kernel/rcu_expedited", "kernel/profiling", "power/state"} {
		if last = opensToWrite("/sys/" + name); last == nil {
			return broke("opened /sys/" + name)
		}
		if last = errors.Join(last, inNew("sysfs", name)); errors.As(last, new(broke)) {
			return last
		}
	}
	return last
}

// releaseAgent makes a hierarchy without a controller, whose empty groups would have the
// kernel run a program as root on the host.
func releaseAgent([]string) error {
	return inNew("cgroup", "release_agent", "none,name=ninefold-attack")
}

func opensToWrite(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err == nil {
		f.Close()
	}
	return err
}

// inNew opens a file to write in a new file system of a type.
func inNew(typ, name string, options ...string) error {
	at, err := os.MkdirTemp("", "new-")
	if err != nil {
		return err
	}
	defer os.Remove(at)
	if err := unix.Mount("none", at, typ, unix.MS_NOSUID, strings.Join(options, ",")); err != nil {
		return fmt.Errorf("mount %s: %w", typ, err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	return broken(opensToWrite(filepath.Join(at, name)), "opened %s of a new %s", name, typ)
}

// machineCalls are system calls that act on the machine as a whole, with arguments with
// which they do nothing.
var machineCalls = []machineCall{
	{"restart the machine", unix.SYS_REBOOT, [3]uintptr{}, []string{"no capabilities", "filter"}},
	{"swap to a file", unix.SYS_SWAPON, [3]uintptr{}, []string{"no capabilities", "user namespace", "filter"}},
	{"keep accounts of processes in a file", unix.SYS_ACCT, [3]uintptr{1}, []string{"no capabilities", "user namespace", "filter"}},
	{"watch all files of a file system", unix.SYS_FANOTIFY_INIT, [3]uintptr{0, ^uintptr(0)}, []string{"filter"}},
	{"change a mount's flags", unix.SYS_MOUNT_SETATTR, [3]uintptr{}, []string{"filter"}},
	{"open a mounted file system anew", unix.SYS_FSPICK, [3]uintptr{}, []string{"no capabilities", "filter"}},
	{"compare what the kernel keeps of processes", unix.SYS_KCMP, [3]uintptr{uintptr(os.Getpid()), uintptr(os.Getpid()), 99}, []string{"filter"}},
	{"hang up a terminal", unix.SYS_VHANGUP, [3]uintptr{}, []string{"no capabilities", "user namespace", "filter"}},
	{"have the kernel ask its helper for a key", unix.SYS_REQUEST_KEY, [3]uintptr{}, []string{"filter"}},
	{"name a file by what a file system knows it by", unix.SYS_NAME_TO_HANDLE_AT, [3]uintptr{^uintptr(0)}, []string{"filter"}},
	{"advise the memory of another process", unix.SYS_PROCESS_MADVISE, [3]uintptr{^uintptr(0)}, []string{"filter"}},
	{"ask for quotas", unix.SYS_QUOTACTL_FD, [3]uintptr{^uintptr(0)}, []string{"filter"}},
	{"have disks serve it before everybody", unix.SYS_IOPRIO_SET, [3]uintptr{1, 0, 1 << 13}, []string{"no capabilities", "user namespace"}},
	{"use the machine's I/O ports", unix.SYS_IOPL, [3]uintptr{3}, []string{"no capabilities", "user namespace"}},
	{"be nicer than nobody", unix.SYS_SETPRIORITY, [3]uintptr{0, 0, ^uintptr(18)}, []string{"no capabilities", "user namespace"}},
}

type machineCall struct {
	name   string
	number uintptr
	args   [3]uintptr
	by     []string
}

func (c machineCall) try([]victim) error {
	_, _, e := unix.RawSyscall(c.number, c.args[0], c.args[1], c.args[2])
	if e == unix.EPERM || e == unix.EACCES || e == unix.ENOSYS {
		return e
	}
	return broke(fmt.Sprintf("the kernel let it pass: %v", e))
}

// beFirst asks for a scheduling class before everybody's, for as long as this thread lives.
func beFirst([]victim) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	}()
	return broken(<-done, "was scheduled before everybody")
}

// is makes sure that the number is the victim's here.
func (v victim) is() error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", v.PID))
	if err == nil && !strings.Contains(string(b), "\x00waits\x00"+v.Name) {
		err = fmt.Errorf("process %d is another", v.PID)
	}
	return err
}

func withVictim(v victim, what string, f func() error) error {
	if err := v.is(); err != nil {
		return err
	}
	err := f()
	if errors.As(err, new(broke)) {
		return err
	}
	return broken(err, "could %s %s", what, v.Name)
}

func signals(v victim) error {
	return withVictim(v, "signal", func() error { return unix.Kill(v.PID, unix.SIGCONT) })
}

func stops(v victim) error {
	return withVictim(v, "stop", func() error {
		err := unix.Kill(v.PID, unix.SIGSTOP)
		_ = unix.Kill(v.PID, unix.SIGCONT)
		return err
	})
}

func traces(v victim) error {
	return withVictim(v, "trace", func() error {
		err := unix.PtraceSeize(v.PID)
		if err == nil {
			_ = unix.PtraceInterrupt(v.PID)
			_, _ = unix.Wait4(v.PID, nil, unix.WALL, nil)
			_ = unix.PtraceDetach(v.PID)
		}
		return err
	})
}

func peeks(v victim) error {
	return withVictim(v, "read the memory of", func() error { return opensAs(v, "mem", os.O_RDONLY) })
}

func pokes(v victim) error {
	return withVictim(v, "write to the memory of", func() error { return opensAs(v, "mem", os.O_RDWR) })
}

func opensAs(v victim, name string, flags int) error {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/%s", v.PID, name), flags|unix.O_NONBLOCK, 0)
	if err == nil {
		f.Close()
	}
	return err
}

func opens(name string) func(victim) error {
	return func(v victim) error {
		return withVictim(v, "open "+name+" of", func() error { return opensAs(v, name, os.O_RDONLY) })
	}
}

func takesDescriptor(v victim) error {
	return withVictim(v, "take a descriptor of", func() error {
		fd, err := unix.PidfdOpen(v.PID, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		got, err := unix.PidfdGetfd(fd, 1, 0)
		if err == nil {
			unix.Close(got)
		}
		return err
	})
}

func joins(v victim) error {
	return withVictim(v, "join a namespace of", func() error {
		return attempt("attacker", &syscall.Credential{NoSetGroups: true}, "join", strconv.Itoa(v.PID))
	})
}

// join ends as a member of the namespaces of another process.
func join(args []string) error {
	f, err := os.Open("/proc/" + args[0] + "/ns/net")
	if err != nil {
		return err
	}
	defer f.Close()
	return broken(unix.Setns(int(f.Fd()), unix.CLONE_NEWNET), "joined the network namespace")
}

func dialsAbstract(v victim) error { return dials("unix", "@victim-"+v.Name) }
func dialsService(v victim) error  { return dials("tcp", fmt.Sprintf("127.0.0.1:%d", v.port())) }

func dials(network, to string) error {
	c, err := net.DialTimeout(network, to, 5*time.Second)
	if err == nil {
		c.Close()
	}
	return broken(err, "%s answers", to)
}

func attachesShared(v victim) error {
	id, err := unix.SysvShmGet(v.key(), 4096, 0)
	if err != nil {
		return err
	}
	b, err := unix.SysvShmAttach(id, 0, 0)
	if err == nil {
		_ = unix.SysvShmDetach(b)
	}
	return broken(err, "attached it")
}

func opensQueue(v victim) error {
	name := append([]byte("victim-"+v.Name), 0)
	fd, _, e := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&name[0])), unix.O_RDONLY, 0, 0, 0, 0)
	if e != 0 {
		return e
	}
	unix.Close(int(fd))
	return broke("opened it")
}

// leaveCgroup opens the list of processes of the cgroup above all, to move there.
func leaveCgroup([]string) error { return inNew("cgroup2", "cgroup.procs") }

// program has a program try something that has no capability but what is its file's.
func program(name string, try ...string) func([]victim) error {
	return func([]victim) error { return attempt(name, nil, try...) }
}

// asRoot has somebody try it who has become root, if that is allowed.
func asRoot(try ...string) func([]victim) error {
	return func([]victim) error { return attempt("attacker", &syscall.Credential{NoSetGroups: true}, try...) }
}

func attempt(name string, as *syscall.Credential, try ...string) error {
	type outcome struct {
		out []byte
		err error
	}
	ended := make(chan outcome)
	go func() {
		runtime.LockOSThread() // and the thread, which has lost something, ends
		if as == nil {
			if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &make([]unix.CapUserData, 2)[0]); err != nil {
				ended <- outcome{nil, err}
				return
			}
		}
		cmd := exec.Command(guestBin+"/"+name, append([]string{"try"}, try...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		out, err := cmd.Output()
		ended <- outcome{out, err}
	}()
	o := <-ended
	text := strings.TrimSpace(string(o.out))
	if got, ok := strings.CutPrefix(text, strings.TrimSpace(through)+" "); ok {
		return broke(got)
	}
	if text != "" {
		return errors.New(strings.TrimPrefix(text, held))
	}
	return o.err
}

// capable is what a program with a capability does.
func capable([]string) error { return readable("/etc/shadow") }

// openDevice makes a node of the device null and opens it.
func openDevice([]victim) error {
	name := "/tmp/node"
	if err := unix.Mknod(name, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		return err
	}
	defer os.Remove(name)
	return readable(name)
}

// forks has children, one more than the profile lets it.
func forks([]string) error {
	const most = 64
	var children []int
	defer func() {
		for _, pid := range children {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
	}()
	for range most + 1 {
		pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{})
		if err != nil {
			return err
		}
		children = append(children, pid)
	}
	return broke(fmt.Sprintf("%d processes", most+1))
}

// sized is the size of each directory in memory of the attacker's session, in bytes.
const sized = 4 << 20

func fills(dir string) error {
	f, err := os.CreateTemp(dir, "filled-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = f.Write(make([]byte, sized+1))
	return broken(err, "wrote more than its size")
}

// dumpsCore does without the privilege to raise any limit, which is not what bounds
// take away (getrlimit(2)).
func dumpsCore([]victim) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&head, &have[0]); err != nil {
		return err
	}
	less := have
	less[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
	if err := unix.Capset(&head, &less[0]); err != nil {
		return err
	}
	defer func() { _ = unix.Capset(&head, &have[0]) }()
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 4096, Max: 4096})
	return broken(err, "could have cores")
}
