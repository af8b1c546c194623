package bus

import (
	"context"
	"fmt"
	"strconv"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"ninefold/sessiond/process"
)

// caller is who sent a message: what the kernel told the bus when that process
// connected (GetConnectionCredentials), and the process's start time, which
// with the pid names it for good.
type caller struct {
	uid   uint32
	pid   int
	start uint64
}

// root reports whether the caller may do what root may.
func (c caller) root() bool { return c.uid == 0 }

// identify asks the bus who a sender is.
func (c *connected) identify(ctx context.Context, sender string) (caller, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var credentials map[string]dbus.Variant
	err := c.conn.Load().BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionCredentials", 0, sender).Store(&credentials)
	if err != nil {
		return caller{}, denied("who calls cannot be found out: %v", err)
	}
	var who caller
	var pid uint32
	var ok bool
	if who.uid, ok = credentials["UnixUserID"].Value().(uint32); !ok {
		return caller{}, denied("the bus does not know the uid of the caller")
	}
	if pid, ok = credentials["ProcessID"].Value().(uint32); !ok || pid == 0 {
		return caller{}, denied("the bus does not know the process of the caller")
	}
	who.pid = int(pid)
	if who.start, err = process.StartTime(who.pid); err != nil {
		return caller{}, denied("process %d, which called, has ended", pid)
	}
	// The number can have gone to another process meanwhile. It counts for
	// nothing but the question to polkit, and only one of the same uid does.
	var st unix.Stat_t
	if err := unix.Stat("/proc/"+strconv.Itoa(who.pid), &st); err != nil || st.Uid != who.uid {
		return caller{}, denied("process %d is not the caller's", pid)
	}
	return who, nil
}

// denied is the error of who may not.
func denied(format string, args ...any) error {
	return &dbus.Error{Name: "org.freedesktop.DBus.Error.AccessDenied", Body: []any{text(fmt.Sprintf(format, args...))}}
}
