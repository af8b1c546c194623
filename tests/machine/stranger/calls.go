package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/broker/wire"
)

// hold keeps n conversations in which nothing is asked, for ever.
func hold(n int) error {
	for range n {
		go func() {
			for {
				_ = slow() // it is hung up on; another one takes its place
				time.Sleep(50 * time.Millisecond)
			}
		}()
	}
	return unix.Pause()
}

// reused asks, as root, in a conversation that uid began in a process that has ended, and
// whose number is another one's by now.
func reused(uid uint32) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	socket := os.NewFile(uintptr(fd), "socket")
	began := exec.Command("/proc/self/exe", "connect")
	began.ExtraFiles = []*os.File{socket}
	began.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := began.CombinedOutput(); err != nil {
		return fmt.Errorf("connect: %w: %s", err, out)
	}
	pid := began.Process.Pid
	var other *exec.Cmd
	for other == nil || other.Process.Pid != pid {
		if other != nil {
			_ = other.Process.Kill()
			_ = other.Wait()
		}
		// The next process is to have that number; somebody may be faster.
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			return err
		}
		other = exec.Command("sleep", "600")
		if err := other.Start(); err != nil {
			return err
		}
	}
	defer other.Wait()
	defer other.Process.Kill()
	c := &wire.Conn{Socket: socket}
	if err := c.SendRequest(&wire.Request{Argv: []string{"touch", "/root/reused"}}, nil); err != nil && !errors.Is(err, unix.EPIPE) {
		return err
	}
	f, _, err := c.Receive(nil)
	if err != nil {
		return err
	}
	v, err := wire.DecodeEvent(f.Kind, f.Payload)
	if err == nil && (v.Kind != wire.Refused || wire.Reason(v.Code) != wire.Denied) {
		err = fmt.Errorf("it is answered: %+v", v)
	}
	return err
}

// connect connects descriptor 3, so that the kernel notes who that was.
func connect() error { return unix.Connect(3, &unix.SockaddrUnix{Name: wire.Path}) }
