package broker

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/broker/hostbus"
)

// The unit of a command is called by numbers of ours alone, and says by its
// name all that a later daemon has to know of it: whose it is, and whether it
// lives on without its caller.
const (
	unitPrefix   = "ninefold-host-"
	unitSuffix   = ".service"
	unitDetached = "-detached"
	unitSlice    = "ninefold-host.slice"
	// stopTimeout is how long a command may take to end after its caller is
	// gone: a package manager finishes what it has begun.
	stopTimeout = 20 * time.Second
)

func newUnit(uid uint32, detached bool) string {
	name := unitPrefix + strconv.FormatUint(uint64(uid), 10) + "-" + strings.ToLower(rand.Text()[:10])
	if detached {
		name += unitDetached
	}
	return name + unitSuffix
}

// unitOf reads the name of a unit.
func unitOf(name string) (uid uint32, detached, ok bool) {
	middle, ok := strings.CutPrefix(name, unitPrefix)
	if !ok {
		return 0, false, false
	}
	if middle, ok = strings.CutSuffix(middle, unitSuffix); !ok {
		return 0, false, false
	}
	middle, detached = strings.CutSuffix(middle, unitDetached)
	number, id, ok := strings.Cut(middle, "-")
	n, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil || strconv.FormatUint(n, 10) != number || len(id) != 10 || !only(id, "") {
		return 0, false, false
	}
	return uint32(n), detached, true
}

// unset are variables by which systemd tells its services about themselves. A
// command of a person is none of them.
var unset = []string{"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "LISTEN_PID", "LISTEN_FDS",
	"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "SYSTEMD_NSS_DYNAMIC_BYPASS"}

// properties are those of the command's unit. streams are its three, or nil for
// the journal.
func (c *command) properties(who *caller, streams []int) []hostbus.Property {
	set := hostbus.Set
	path, collect := c.program.Path, "inactive"
	kill, patience := "control-group", stopTimeout
	switch {
	case c.request.Context:
		// Who else is in the context stays in its root, which lies in this unit.
		kill = "process"
	case c.request.Guest != "":
		// The keeper ends its session itself; what is left then is killed.
		kill, patience = "mixed", guestStop
	}
	if c.request.Detach {
		collect = "inactive-or-failed" // nobody comes for its status
	}
	p := []hostbus.Property{
		set("Description", c.description(who)),
		// The start job of a oneshot ends with the command.
		set("Type", "oneshot"),
		set("Slice", unitSlice),
		set("DefaultDependencies", false),
		set("CollectMode", collect),
		// The broker's own record says what ran and why; systemd would say five
		// times that it did.
		set("LogLevelMax", int32(3)),
		// Nothing is expanded: what the policy has seen is what runs.
		set("ExecStartEx", []hostbus.Exec{{Path: path, Argv: c.argv, Flags: []string{"no-env-expand"}}}),
		set("Environment", c.environment(who)),
		set("UnsetEnvironment", unset),
		set("UMask", uint32(0o022)),
		set("IgnoreSIGPIPE", false),
		set("KillMode", kill),
		set("SendSIGHUP", true),
		set("TimeoutStopUSec", uint64(patience/time.Microsecond)),
		// Neither the keys of the daemon nor of anybody's login.
		set("KeyringMode", "private"),
		set("WorkingDirectory", c.startDir()),
	}
	if !c.root() {
		p = append(p, set("User", c.target.Name))
	}
	names := [3]string{"StandardInput", "StandardOutput", "StandardError"}
	if streams == nil {
		for i, text := range [3]string{"null", "journal", "journal"} {
			p = append(p, set(names[i], text))
		}
	}
	// All three or none: systemd takes them as descriptors or by name, and not
	// one so and another so. A terminal as standard input becomes the controlling one.
	for i, fd := range streams {
		p = append(p, set(names[i]+"FileDescriptor", dbus.UnixFD(fd)))
	}
	if c.request.Detach {
		p = append(p, set("SyslogIdentifier", plain(c.program.Name)))
	}
	return p
}

// startDir is where systemd changes to. A home that is not there is no reason
// to start nothing.
func (c *command) startDir() string {
	if c.dir != "" {
		return c.dir
	}
	return "-" + c.home()
}

// description says in systemctl and in the journal who asked for what.
func (c *command) description(who *caller) string {
	as := ""
	if c.target.UID != 0 && c.target.UID != who.peer.UID {
		as = " as " + c.target.Name
	}
	return plain(fmt.Sprintf("%s, for %s%s", c.shown(), who, as))
}
