package door

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/process"
	"ninefold/sessiond/units"
)

// Peer is who asks, as the kernel says.
type Peer struct {
	PID int
	UID uint32
	// Start is when the process started, in clock ticks since boot (proc(5),
	// stat, field 22): with the pid it names a process for good.
	Start uint64
	// Unit is the root-owned part of its cgroup.
	Unit Unit
}

// UnitKind is what a unit is to us.
type UnitKind uint8

// The kinds of unit.
const (
	OtherUnit UnitKind = iota
	SessionScope
	UserManager
	ViewManager // a user manager that one view has for itself
)

// Unit is what root put a process into. Names below it are the user's choice
// and are not looked at: a user can call a scope session-99.scope.
type Unit struct {
	Kind UnitKind
	// UID is whose session or manager it is, from the slice that root made.
	UID uint32
	// Session is logind's id, for a SessionScope.
	Session string
	// View is the view's id, for a ViewManager.
	View string
}

// ErrPeer says that it cannot be known for certain who asks.
var ErrPeer = errors.New("the caller cannot be identified")

// peerOf identifies the process at the other end of socket fd. accepted is
// CLOCK_BOOTTIME when the connection was accepted: a process of that pid that
// started later is not the one that connected. Where the kernel hands out a
// pidfd of the peer (Linux 6.5), the process is held by it until everything
// has been read.
func peerOf(fd int, accepted time.Duration) (Peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	if cred.Pid <= 0 {
		return Peer{}, fmt.Errorf("%w: it is in another PID namespace", ErrPeer)
	}
	pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err == nil {
		defer unix.Close(pidfd)
	} else {
		pidfd = -1
	}
	p := Peer{PID: int(cred.Pid), UID: cred.Uid}
	if p.Start, err = process.StartTime(p.PID); err != nil {
		return Peer{}, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	if time.Duration(p.Start)*tick > accepted+tick {
		return Peer{}, fmt.Errorf("%w: process %d started after it had connected", ErrPeer, p.PID)
	}
	path, err := process.CgroupOf(p.PID)
	if err != nil {
		return Peer{}, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	p.Unit = parseUnit(path)
	if pidfd >= 0 {
		gone := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		if n, err := unix.Poll(gone, 0); err == nil && n > 0 {
			return Peer{}, fmt.Errorf("%w: it has ended", ErrPeer)
		}
	} else if again, err := process.StartTime(p.PID); err != nil || again != p.Start {
		return Peer{}, fmt.Errorf("%w: it has ended", ErrPeer)
	}
	return p, nil
}

// tick is one clock tick of /proc: USER_HZ is 100 on every Linux.
const tick = time.Second / 100

func bootTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // fails for a bad address alone
	return time.Duration(ts.Nano())
}

// parseUnit reads the first three elements of a cgroup path, which root alone
// makes: user.slice, user-UID.slice, and the session's scope or a manager.
func parseUnit(path string) Unit {
	e := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 4)
	if len(e) < 3 || e[0] != "user.slice" {
		return Unit{}
	}
	text, ok := between(e[1], "user-", ".slice")
	uid, err := strconv.ParseUint(text, 10, 32)
	if !ok || err != nil || strconv.FormatUint(uid, 10) != text {
		return Unit{}
	}
	if id, ok := between(e[2], "session-", ".scope"); ok && id != "" {
		return Unit{Kind: SessionScope, UID: uint32(uid), Session: id}
	}
	if id, ok := between(e[2], "user@", ".service"); ok && id == text {
		return Unit{Kind: UserManager, UID: uint32(uid)}
	}
	if id, ok := between(e[2], units.ManagerPrefix, ".service"); ok && id != "" {
		return Unit{Kind: ViewManager, UID: uint32(uid), View: id}
	}
	return Unit{}
}

func between(s, prefix, suffix string) (string, bool) {
	s, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, suffix)
}

// Identify tells who is at the other end of c, which was accepted at accepted
// (Accept): for the daemon's other sockets.
func Identify(c syscall.Conn, accepted time.Duration) (from Peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return from, err
	}
	if cerr := raw.Control(func(fd uintptr) { from, err = peerOf(int(fd), accepted) }); cerr != nil {
		return from, cerr
	}
	return from, err
}

// UID is who connected, before it is known which process that is.
func UID(c syscall.Conn) (uint32, error) { return uidOf(c) }
