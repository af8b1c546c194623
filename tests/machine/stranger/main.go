// Command stranger does to the broker, and to the terminal it is given, what no
// caller and no command is expected to do. The tests of booted machines run it
// inside of them.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/broker/wire"
)

func main() {
	var err error
	switch os.Args[1] {
	case "garbage":
		err = garbage()
	case "slow":
		err = slow()
	case "hang":
		err = hang(20)
	case "hold":
		err = hold(300)
	case "reused":
		err = reused(1000)
	case "connect":
		err = connect()
	case "type":
		err = typeAt(os.Args[2] + "\n")
	default:
		err = errors.New("garbage, slow, hang, hold, reused, connect or type TEXT")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// longest is more than a conversation may take that never comes to a request.
const longest = 30 * time.Second

// garbage sends what is no request, in many conversations. Each has to end.
func garbage() error {
	head, err := (&wire.Request{Argv: []string{"true"}, Streams: [3]wire.Stream{wire.Null, wire.Null, wire.Null}}).Encode()
	if err != nil {
		return err
	}
	for i := range 100 {
		b := make([]byte, rand.IntN(1<<16))
		for j := range b {
			b[j] = byte(rand.Uint32())
		}
		if i%2 == 0 {
			b = append(bytes.Clone(head), b...)
		}
		if i%3 == 0 && len(b) > 12 {
			binary.LittleEndian.PutUint32(b[8:], rand.Uint32()) // a length
		}
		if err := tell(b); err != nil {
			return fmt.Errorf("conversation %d: %w", i, err)
		}
	}
	return nil
}

func tell(b []byte) error {
	c, err := net.Dial("unix", wire.Path)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(longest))
	_, _ = c.Write(b) // it may hang up before all is written
	if err := c.(*net.UnixConn).CloseWrite(); err != nil && !errors.Is(err, unix.ENOTCONN) {
		return err
	}
	return ended(c)
}

func ended(c net.Conn) error {
	_, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("it goes on after %s", longest)
	}
	return nil // hung up on, whatever way
}

// slow begins a request and says no more.
func slow() error {
	c, err := net.Dial("unix", wire.Path)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte{1, 2, 3}); err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(longest))
	return ended(c)
}

// typeAt puts text into the input of the terminal, as if it had been typed
// (ioctl_tty(2), TIOCSTI), and pastes what is selected on the screen (ioctl_console(2),
// TIOCLINUX). A kernel that lets nobody do that is as good.
func typeAt(text string) error {
	paste := byte(3)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, 0, unix.TIOCLINUX, uintptr(unsafe.Pointer(&paste))); errno != unix.ENOTTY && errno != unix.EPERM && errno != unix.EINVAL {
		return fmt.Errorf("it can paste: %w", errno)
	}
	for _, c := range []byte(text) {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, 0, unix.TIOCSTI, uintptr(unsafe.Pointer(&c))); errno != 0 && errno != unix.EIO && errno != unix.EPERM {
			return errno
		}
	}
	return nil
}
