package machine

import (
	"context"
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
)

// launcher is the first process of the PID namespace that a machine lives in.
// It stays until systemd-nspawn has ended, and everything ends with it.
const launcher = `set -eu
mount --make-rprivate /
mount -t proc proc /proc
dir=$2
own=$2
if [ -e "$2/plain" ]; then
	mount -o loop "$2/plain" "$2/root"
elif [ -e "$2/disk" ]; then
	own=$2/small
	mount -o loop "$2/disk" "$own"
	mkdir -p "$own/upper" "$own/work"
	chmod 755 "$own/upper"
fi
[ -e "$dir/plain" ] || mount -t overlay machine -o "lowerdir=$1,upperdir=$own/upper,workdir=$own/work" "$dir/root"
shift 2
systemd-nspawn -D "$dir/root" --bind="$dir/state:/var/lib/ninefold" "$@" <&- &
code=0
wait $! || code=$?
exit $code`

// launch is one running launcher.
type launch struct {
	pid    int
	cgroup *cgroup
	done   chan struct{}
	err    error // valid when done is closed
}

// start launches m's container and returns once its first process is there.
func (m *Machine) start(ctx context.Context) error {
	cg, err := makeCgroup(m.name)
	if err != nil {
		return err
	}
	console, err := os.OpenFile(m.Console(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return errors.Join(err, cg.remove())
	}
	defer console.Close()
	args := []string{
		"-c", launcher, "launcher", m.tree, m.dir,
		"--boot", "--machine=" + m.name, "--hostname=machine", "--register=no", "--keep-unit", "--settings=no",
		"--capability=all", "--system-call-filter=@mount @keyring bpf", "--private-network",
		"--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
	}
	args = append(args, m.options.Nspawn...)
	c := exec.Command("sh", args...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", "SYSTEMD_LOG_TARGET=console"}
	c.Stdout, c.Stderr = console, console
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL, Setsid: true,
	}
	l := &launch{cgroup: cg, done: make(chan struct{})}
	started := make(chan error)
	// The signal of a parent's death is that of the parent's *thread*, so one
	// thread stays with the launcher as long as it lives.
	go func() {
		runtime.LockOSThread()
		defer close(l.done)
		err := cg.start(c)
		started <- err
		if err == nil {
			l.err = c.Wait()
		}
	}()
	if err := <-started; err != nil {
		return errors.Join(fmt.Errorf("launch the machine: %w", err), cg.remove())
	}
	l.pid = c.Process.Pid
	m.launch = l
	leader, err := cg.leader(ctx, l.done)
	if err != nil {
		return errors.Join(err, m.end())
	}
	m.leader = leader
	return m.booted(ctx)
}

// booted waits until the machine has started what it starts at boot.
func (m *Machine) booted(ctx context.Context) error {
	var last Result
	for ctx.Err() == nil {
		select {
		case <-m.launch.done:
			return fmt.Errorf("the machine ended while it booted: %v", m.launch.err)
		case <-time.After(50 * time.Millisecond):
		}
		// In the cgroup of PID 1 at first: the one for commands is made late.
		last = m.run(ctx, "", nil, "systemctl", "is-system-running", "--wait")
		switch strings.TrimSpace(last.Stdout) {
		case "running", "degraded":
			return nil
		}
	}
	return fmt.Errorf("the machine did not come up: %w: %s", context.Cause(ctx), last)
}

// end kills everything of the machine and waits until it is gone.
func (m *Machine) end() error {
	l := m.launch
	if l == nil {
		return nil
	}
	m.launch = nil
	// The launcher is not reaped before done is closed, so its number is its own.
	select {
	case <-l.done:
	default:
		if err := syscall.Kill(l.pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("end the machine's launcher %d: %w", l.pid, err)
		}
		<-l.done
	}
	return l.cgroup.remove()
}

// firstInNamespace reports whether the process is the first one of its innermost PID
// namespace, which lies depth levels below that of this process.
func firstInNamespace(pid, depth int) bool {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			f := strings.Fields(numbers)
			return len(f) == depth+1 && f[len(f)-1] == "1"
		}
	}
	return false
}
