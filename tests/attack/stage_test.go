package attack

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func device(name string, n [2]uint32, block bool) error {
	kind := uint32(unix.S_IFCHR)
	if block {
		kind = unix.S_IFBLK
	}
	if err := unix.Mknod(name, kind|0o666, int(unix.Mkdev(n[0], n[1]))); err != nil {
		return err
	}
	return os.Chmod(name, 0o666)
}

// listen has sockets of the host's listen below stage. They are named, not bound: the
// names of some are longer than an address may be.
func listen(t *testing.T, stage string) {
	t.Helper()
	for _, name := range doors {
		at := filepath.Join(stage, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		dir, err := os.Open(filepath.Dir(at))
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(at)))
		dir.Close()
		if err == nil {
			err = os.Chmod(at, 0o777)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
}

// apart gives the test's thread, and the sessions begun from it, a host of its own as far as
// an attack that gets through could change it: a network with a way out, IPC and a name.
func apart(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // it ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"link set lo up", "route add 192.0.2.0/24 dev lo", "link add attack0 type veth peer name attack1"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
}

// The victims: a process of the machine's, and one of another guest's.
const (
	host    = "host"
	another = "another"
)

// A victim is a process of somebody else's, whose things carry its name.
type victim struct {
	Name string
	PID  int // as the host numbers it
}

// key is that of its System V shared memory, and port its service's on 127.0.0.1.
func (v victim) key() int  { return 0x4e460000 + int(v.Name[0]) }
func (v victim) port() int { return 40000 + int(v.Name[0]) }

// files are what it has in the directories that everybody writes to, and its home.
func (v victim) files() []string {
	return []string{"/tmp/" + v.Name, "/var/tmp/" + v.Name, "/dev/shm/" + v.Name, "/home/guest/" + v.Name}
}

// waits is the victim in its session, until it is killed.
func waits(args []string) error {
	v := victim{Name: args[0]}
	if v.Name != host {
		for _, f := range v.files() {
			if err := os.WriteFile(f, []byte("a victim's\n"), 0o644); err != nil {
				return err
			}
		}
	}
	if _, err := net.Listen("unix", "@victim-"+v.Name); err != nil {
		return err
	}
	lo, err := net.InterfaceByName("lo")
	if err == nil && lo.Flags&net.FlagUp == 0 {
		err = fmt.Errorf("lo is down")
	}
	if err != nil {
		return err
	}
	if _, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", v.port())); err != nil {
		return err
	}
	if _, err := unix.SysvShmGet(v.key(), 4096, unix.IPC_CREAT|0o666); err != nil {
		return err
	}
	queue := append([]byte("victim-"+v.Name), 0)
	if _, _, e := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&queue[0])), unix.O_CREAT|unix.O_RDWR, 0o666, 0, 0, 0); e != 0 {
		return fmt.Errorf("a message queue: %w", e)
	}
	fmt.Println("waits")
	for {
		time.Sleep(time.Hour)
	}
}

// begin starts a victim, and finds the process of it that works in the session.
func begin(t *testing.T, name string, cmd *exec.Cmd) victim {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil || string(line[:n]) != "waits\n" {
		t.Fatalf("the victim %s does not wait: %v: %s", name, err, line[:n])
	}
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, _ := os.ReadFile(n)
		program, args, _ := strings.Cut(string(b), "\x00")
		if strings.HasSuffix(program, "/attacker") && args == "try\x00waits\x00"+name+"\x00" {
			v := victim{Name: name}
			if _, err := fmt.Sscanf(n, "/proc/%d/", &v.PID); err == nil {
				return v
			}
		}
	}
	t.Fatalf("the process of the victim %s is not to be found", name)
	return victim{}
}
