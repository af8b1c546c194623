package attack

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// nestedNamespace makes a user and a mount namespace inside the session, where
// the attacker has every capability, and tries to undo what the session rests on.
func nestedNamespace(args []string) error {
	if len(args) > 0 {
		return undo(args[0])
	}
	cmd := exec.Command("/proc/self/exe", "try", "nested", strconv.Itoa(os.Getuid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	text := string(out)
	if cut, ok := strings.CutPrefix(text, through); ok {
		return broke(cut)
	}
	if err != nil && !strings.HasPrefix(text, held) {
		return fmt.Errorf("%w: %s", err, text)
	}
	return fmt.Errorf("%s", strings.TrimPrefix(text, held))
}

// undo is told the uid that it has outside; root's writes go to the session's layer.
func undo(uid string) error {
	var last error
	files := []string{"/proc/sys/kernel/core_pattern", "/sys/kernel/uevent_helper"}
	if uid != "0" {
		files = append(files, "/etc/shadow", "/etc/passwd")
	}
	for _, target := range []string{"/proc", "/proc/sys", "/dev", "/dev/pts", "/run", "/run/ninefold/lib", "/tmp", "/sys", os.Getenv("HOME")} {
		if last = unix.Unmount(target, unix.MNT_DETACH); last == nil {
			return broke("unmounted " + target)
		}
	}
	for _, target := range []string{"/sys", "/run/ninefold/lib"} {
		if last = unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND, ""); last == nil {
			return broke("made " + target + " writable")
		}
	}
	// What is nosuid must stay so.
	if last = unix.Mount("", "/tmp", "", unix.MS_REMOUNT|unix.MS_BIND, ""); last == nil {
		return broke("took nosuid off /tmp")
	}
	for _, name := range files {
		if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil {
			f.Close()
			return broke("opened " + name + " for writing")
		}
	}
	return last
}
