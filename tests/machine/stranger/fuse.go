package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/broker/wire"
)

// inNamespace marks the copy of this program that is in namespaces of its own.
const inNamespace = "STRANGER_IN_NAMESPACE"

// hang mounts, as anybody may, a file system in namespaces of its own, and has n
// conversations with the broker that bring files of it. Once a file is open, the
// file system answers nothing any more.
func hang(n int) error {
	if os.Getenv(inNamespace) == "" {
		c := exec.Command("/proc/self/exe", os.Args[1:]...)
		c.Env = append(os.Environ(), inNamespace+"=1")
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
		return c.Run()
	}
	dir, err := os.MkdirTemp("", "hang-")
	if err != nil {
		return err
	}
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Mount("hang", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse)); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	go serve(fuse)
	files := map[int]*os.File{}
	for _, flags := range []int{unix.O_RDWR, unix.O_RDWR | unix.O_NONBLOCK} {
		fd, err := unix.Open(filepath.Join(dir, "f"), flags|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		// Kept from package os, which would have the poller look at it.
		if err := unix.SetNonblock(fd, false); err != nil {
			return err
		}
		files[flags] = os.NewFile(uintptr(fd), "f")
		if err := unix.SetNonblock(fd, flags&unix.O_NONBLOCK != 0); err != nil {
			return err
		}
	}
	for i := range n {
		f := files[unix.O_RDWR|unix.O_NONBLOCK]
		if i%2 == 0 {
			f = files[unix.O_RDWR]
		}
		if err := bring(f); err != nil {
			return fmt.Errorf("conversation %d: %w", i, err)
		}
	}
	fmt.Println("asked")
	return unix.Pause()
}

// bring asks for a command with f as its streams, and waits for no answer.
func bring(f *os.File) error {
	c, err := wire.Dial(wire.Path)
	if err != nil {
		return err
	}
	return c.SendRequest(&wire.Request{Argv: []string{"true"}, Streams: [3]wire.Stream{wire.Passed, wire.Passed, wire.Null}}, []*os.File{f, f})
}

// What the kernel asks (linux/fuse.h), as far as a file has to be opened.
const (
	fuseLookup  = 1
	fuseGetattr = 3
	fuseOpen    = 14
	fuseInit    = 26
)

// serve answers what leads to an open file, and nothing else.
func serve(fuse int) {
	b := make([]byte, 1<<17)
	for {
		n, err := unix.Read(fuse, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n < 40 {
			return
		}
		e := binary.NativeEndian
		var body []byte
		attr := func(node uint64, mode uint32) []byte {
			a := make([]byte, 88)
			e.PutUint64(a, node)
			e.PutUint32(a[60:], mode)
			e.PutUint32(a[64:], 1)
			return a
		}
		switch e.Uint32(b[4:]) {
		case fuseInit:
			body = make([]byte, 64)
			e.PutUint32(body, 7)
			e.PutUint32(body[4:], 31)
			e.PutUint32(body[20:], 4096)
		case fuseGetattr:
			node, mode := e.Uint64(b[16:]), uint32(unix.S_IFREG|0o666)
			if node == 1 {
				mode = unix.S_IFDIR | 0o777
			}
			body = append(make([]byte, 16), attr(node, mode)...)
		case fuseLookup:
			body = make([]byte, 40)
			e.PutUint64(body, 2)
			e.PutUint64(body[16:], 3600)
			e.PutUint64(body[24:], 3600)
			body = append(body, attr(2, unix.S_IFREG|0o666)...)
		case fuseOpen:
			body = make([]byte, 16)
		default:
			continue
		}
		head := make([]byte, 16)
		e.PutUint32(head, uint32(len(head)+len(body)))
		copy(head[8:], b[8:16])
		_, _ = unix.Write(fuse, append(head, body...))
	}
}
