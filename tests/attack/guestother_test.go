package attack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machines is a directory of the machine's that a guest sees, with things in it that act on
// who else has them, but for the overlay between.
const machines = "/opt/ninefold-attack"

// offer makes what lies in it: a socket at which somebody listens, a FIFO that somebody reads,
// and a file that is changed again and again and that a program of the machine's wants to lock.
func offer(t *testing.T) {
	t.Helper()
	if err := os.Mkdir(machines, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(machines) })
	if err := unix.Mount("machines", machines, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(machines, unix.MNT_DETACH) })
	l, err := net.Listen("unix", machines+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := unix.Mkfifo(machines+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(machines+"/fifo", os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fifo.Close() })
	locked, err := os.Create(machines + "/lock")
	if err == nil {
		err = unix.Flock(int(locked.Fd()), unix.LOCK_SH)
	}
	if err != nil {
		t.Fatal(err)
	}
	stop, over := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-over; locked.Close() })
	go func() {
		defer close(over)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				_ = locked.Truncate(0)
			}
		}
	}()
	for _, name := range []string{"/socket", "/fifo", "/lock"} {
		if err := os.Chmod(machines+name, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func connectsFile([]victim) error { return dials("unix", machines+"/socket") }

// writesFIFO writes to who reads; where nobody does, it cannot be opened.
func writesFIFO([]victim) error {
	f, err := os.OpenFile(machines+"/fifo", os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("x")
	return broken(err, "somebody reads it")
}

// locks finds that somebody has a lock, and so could keep it from them.
func locks([]victim) error {
	f, err := os.Open(machines + "/lock")
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return broke("it is the machine's lock")
	}
	return err
}

// watches waits for what somebody else does with a file.
func watches([]victim) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, machines+"/lock", unix.IN_MODIFY|unix.IN_ATTRIB|unix.IN_CLOSE_WRITE); err != nil {
		return err
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 300)
	if n > 0 {
		return broke("somebody changed it")
	}
	return err
}

// foundMount is broke when a mount has one of the fields of mountinfo that say that what
// is mounted in one place appears in others (mount_namespaces(7)); at is where, "" anywhere.
func foundMount(at string, fields ...string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		for _, field := range fields {
			if (at == "" || f[4] == at) && slices.ContainsFunc(f[6:], func(s string) bool { return strings.HasPrefix(s, field) }) {
				return broke(fmt.Sprintf("%s at %s", field, f[4]))
			}
		}
	}
	return nil
}

// otherFamily asks for a socket of each family that is not named.
func otherFamily([]victim) error {
	var last error
	for family := range 64 {
		switch family {
		case unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET:
			continue
		}
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET} {
			fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
			if err == nil {
				unix.Close(fd)
				return broke(fmt.Sprintf("has one of family %d", family))
			}
			if last = err; !errors.Is(err, unix.EAFNOSUPPORT) {
				return broke(fmt.Sprintf("family %d is there: %v", family, err))
			}
		}
	}
	return last
}

// small makes a user namespace by a call of i386's, and ends with 42 if it could. It
// begins at its 84th byte.
var small = []byte("\xb8\x36\x01\x00\x00\xbb\x00\x00\x00\x10\xcd\x80\xbb\x2a\x00\x00\x00\x85\xc0\x74\x05\xbb\x01\x00\x00\x00\xb8\x01\x00\x00\x00\xcd\x80")

// callsAnotherWay runs that as a program for i386 (elf(5)), whose calls have other numbers.
func callsAnotherWay([]victim) error {
	const base, head = 0x08048000, 52 + 32
	program := []byte("\x7fELF\x01\x01\x01" + strings.Repeat("\x00", 9))
	for _, n := range []uint16{2, 3} {
		program = binary.LittleEndian.AppendUint16(program, n)
	}
	for _, n := range []uint32{1, base + head, 52, 0, 0} {
		program = binary.LittleEndian.AppendUint32(program, n)
	}
	for _, n := range []uint16{52, 32, 1, 0, 0, 0} {
		program = binary.LittleEndian.AppendUint16(program, n)
	}
	size := uint32(head + len(small))
	for _, n := range []uint32{1, 0, base, base, size, size, 5, 4096} {
		program = binary.LittleEndian.AppendUint32(program, n)
	}
	dir, err := os.MkdirTemp("", "small-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "i386")
	if err := os.WriteFile(name, append(program, small...), 0o700); err != nil {
		return err
	}
	err = exec.Command(name).Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 42 {
		return broke("it has one")
	}
	return err
}

// netlink sends one request and returns what the kernel says to it.
func netlink(protocol int, kind, flags uint16, body []byte) ([]byte, error) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, err
	}
	defer unix.Close(s)
	request := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	request = binary.NativeEndian.AppendUint16(request, kind)
	request = binary.NativeEndian.AppendUint16(request, flags|unix.NLM_F_REQUEST)
	request = append(append(request, make([]byte, 8)...), body...)
	if err := unix.Sendto(s, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer := make([]byte, 64<<10)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return nil, err
	}
	answer = answer[:n]
	if n >= unix.SizeofNlMsghdr+4 && binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
			return nil, syscall.Errno(-code)
		}
	}
	return answer, nil
}

// setLink has the kernel set lo's flags to what they are (rtnetlink(7)).
func setLink([]victim) error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	body := make([]byte, unix.SizeofIfInfomsg) // no change of flags is asked for
	binary.NativeEndian.PutUint32(body[4:], uint32(lo.Index))
	_, err = netlink(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, unix.NLM_F_ACK, body)
	return broken(err, "set lo")
}

// listsSockets asks for all sockets that listen on TCP (sock_diag(7)), and finds a victim's.
func (v victim) listsSockets() error {
	const byFamily, listening = 20, 1 << 10
	body := make([]byte, 56)
	body[0], body[1] = unix.AF_INET, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(body[4:], listening)
	answer, err := netlink(unix.NETLINK_SOCK_DIAG, byFamily, unix.NLM_F_DUMP, body)
	for err == nil && len(answer) >= unix.SizeofNlMsghdr+6 {
		size := int(binary.NativeEndian.Uint32(answer))
		if size < unix.SizeofNlMsghdr || size > len(answer) {
			break
		}
		// The port stands behind four bytes of struct inet_diag_msg.
		if binary.NativeEndian.Uint16(answer[4:]) == byFamily && int(binary.BigEndian.Uint16(answer[unix.SizeofNlMsghdr+4:])) == v.port() {
			return broke("the service of " + v.Name + " is listed")
		}
		answer = answer[(size+3)&^3:]
	}
	return err
}

func limits(v victim) error {
	return withVictim(v, "set the limits of", func() error {
		var now unix.Rlimit
		if err := unix.Prlimit(v.PID, unix.RLIMIT_NOFILE, nil, &now); err != nil {
			return err
		}
		return unix.Prlimit(v.PID, unix.RLIMIT_NOFILE, &now, nil)
	})
}

func moves(v victim) error {
	return withVictim(v, "choose the processors of", func() error {
		var on unix.CPUSet
		if err := unix.SchedGetaffinity(v.PID, &on); err != nil {
			return err
		}
		return unix.SchedSetaffinity(v.PID, &on)
	})
}

// killedLast asks to be killed after everybody when memory is short (proc_pid_oom_score_adj(5)).
func killedLast([]victim) error {
	const name = "/proc/self/oom_score_adj"
	was, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, []byte("-1000"), 0)
	}
	if err == nil {
		_ = os.WriteFile(name, was, 0)
	}
	return broken(err, "would be killed last")
}
