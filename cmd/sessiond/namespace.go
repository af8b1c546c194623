package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

const insideFlag = "inside-own-namespace"

func init() {
	// The main goroutine stays on the main thread, whose namespace exec keeps.
	runtime.LockOSThread()
}

// enterOwnNamespace gives the daemon a mount namespace of its own, in which
// every mount is a slave of the host's: what the host mounts appears, nothing
// goes back. A view copies the whole table when it is made, so what no view
// needs is taken out. It then executes this program anew, so that all its
// threads are there; pid, descriptors and environment stay.
func enterOwnNamespace(args []string) error {
	// Vestibules are copies of what is here now, whole.
	host, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/proc/self/ns/mnt", Err: err}
	}
	if err := kernel.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := kernel.ReceiveMounts(); err != nil {
		return err
	}
	if err := trim(); err != nil {
		return err
	}
	// What is secret is made so; store and roots are made as sessionctl makes them.
	unix.Umask(0o022)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	argv := append([]string{os.Args[0], "-" + insideFlag, strconv.Itoa(host)}, args...)
	return fmt.Errorf("execute %s: %w", self, unix.Exec(self, argv, os.Environ()))
}

// hostNamespace opens the mount namespace that the daemon was started in, by
// the descriptor that enterOwnNamespace left open.
func (o options) hostNamespace() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(o.inside), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("the host's mount namespace: %w", err)
	}
	return os.NewFile(uintptr(fd), "mount namespace of the host"), nil
}

// unneeded are trees whose mounts no login has a use for.
var unneeded = []string{
	"/proc/sys/fs/binfmt_misc", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/config", "/sys/fs/pstore",
	"/sys/firmware/efi/efivars", "/run/credentials", "/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/var/lib/machines",
}

// trim takes the mounts below unneeded out, the innermost first. It is an
// economy: what cannot be taken out stays.
func trim() error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	var points []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if w := strings.Fields(s.Text()); len(w) > 4 && below(w[4]) {
			points = append(points, w[4])
		}
	}
	for _, p := range slices.Backward(points) {
		if fd, err := kernel.OpenHost(p); err == nil {
			_ = kernel.Detach(fd, p)
			fd.Close()
		}
	}
	return nil
}

func below(point string) bool {
	return slices.ContainsFunc(unneeded, func(dir string) bool { return point == dir || strings.HasPrefix(point, dir+"/") })
}
