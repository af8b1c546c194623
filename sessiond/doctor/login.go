package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/api"
	"ninefold/sessiond/door"
)

// enterProgram is what the user manager starts through.
const enterProgram = "/usr/lib/ninefold/ninefold-enter"

// Login says where to look for what logins need.
type Login struct {
	// Root is put before every path; "" is this machine.
	Root string
	// Unit returns the ExecStart of a unit as systemctl show prints it.
	Unit func(ctx context.Context, unit string) (string, error)
	// Daemon asks the daemon over the bus.
	Daemon func(ctx context.Context) (api.Status, error)
	// Profiles are those that the configuration gives to logins.
	Profiles func() ([]string, error)
	// Aliases reports whether sshd is to know people as PERSON+PROFILE.
	Aliases func() (bool, error)
	// Try makes the view of a login in a profile and takes it down again. It is
	// called as root only.
	Try func(ctx context.Context, profile string) error
	// Room are directories that logins write to.
	Room []string
}

// notInstalled is the finding on a machine that has sessions alone.
const notInstalled = "the login path"

// forLogins is what these findings are needed for.
const forLogins = "logins"

func (l Login) path(name string) string { return filepath.Join(l.Root, name) }

// findings are what a login meets, in the order in which it does.
func (l Login) findings(ctx context.Context) []Finding {
	if _, err := os.Stat(l.path(enterProgram)); errors.Is(err, os.ErrNotExist) {
		return []Finding{l.missing(notInstalled, "", "it is not installed, so no login gets a view; install Ninefold's package")}
	}
	out := []Finding{l.door(), l.daemon(ctx)}
	out = append(out, l.pam()...)
	out = append(out, l.module(), l.userManager(ctx), l.capabilities(), l.names(), l.polkit())
	out = append(out, l.aliases()...)
	out = append(out, l.room()...)
	return append(out, l.profiles(ctx)...)
}

func (l Login) missing(name, detail, then string) Finding {
	return Finding{Area: "login", Name: name, For: forLogins, State: Missing, Detail: detail, Then: then}
}

func (l Login) ok(name, detail string) Finding {
	return Finding{Area: "login", Name: name, For: forLogins, State: OK, Detail: detail}
}

// door asks whether anybody is there, as a login does.
func (l Login) door() Finding {
	const name = "the door"
	if st, err := os.Stat(l.path(filepath.Join(filepath.Dir(door.Path), "door.failed"))); err == nil {
		if ago := time.Since(st.ModTime()); ago >= 0 && ago < 30*time.Second {
			return l.missing(name, fmt.Sprintf("it did not answer %d s ago", int(ago.Seconds())),
				"logins stay on the host until 30 s are over; see systemctl status sessiond")
		}
	}
	began := time.Now()
	_, files, err := door.Ask(l.path(door.Path), door.Request{Op: door.Ping, UID: uint32(os.Getuid())})
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		return l.missing(name, err.Error(), "logins stay on the host; see systemctl status sessiond-door.socket sessiond")
	}
	return l.ok(name, fmt.Sprintf("answers in %.1f ms", float64(time.Since(began).Microseconds())/1000))
}

func (l Login) daemon(ctx context.Context) Finding {
	const name = "the daemon on the bus"
	if l.Daemon == nil {
		return Finding{Area: "login", Name: name, For: forLogins, State: Unknown, Detail: "not asked"}
	}
	st, err := l.Daemon(ctx)
	switch {
	case err != nil:
		return l.missing(name, err.Error(), "sessionctl list, show, end and enter do not work; logins do, if the door answers")
	case st.ConfigError != "":
		first, _, _ := strings.Cut(st.ConfigError, "\n")
		f := l.ok("the configuration", first)
		f.State, f.Then = Fallback, "what was right before stays in force; mend the file"
		return f
	case len(st.Outside) > 0:
		f := l.ok("sessions outside", strings.Join(st.Outside, ", "))
		f.State, f.Then = Fallback, "they are on the host, and their user managers in views: the services' files in /etc/pam.d lack the lines of pam_ninefold(8)"
		return f
	}
	return l.ok(name, fmt.Sprintf("%d views, %d sessions", st.Views, st.Sessions))
}

// userManager looks at what is in force, whatever drop-ins there are.
func (l Login) userManager(ctx context.Context) Finding {
	const name = "user@.service"
	if l.Unit == nil {
		return Finding{Area: "login", Name: name, For: forLogins, State: Unknown, Detail: "not asked"}
	}
	// Of an instance, since a template has no properties; this one never runs.
	said, err := l.Unit(ctx, "user@4294967294.service")
	switch {
	case err != nil:
		return Finding{Area: "login", Name: name, For: forLogins, State: Unknown, Detail: err.Error(), Then: "systemd could not be asked"}
	case !strings.Contains(said, "path="+enterProgram+" "):
		return l.missing(name, "ExecStart is "+strings.TrimSpace(said),
			"user managers stay on the host; see systemctl cat user@.service for what overrides 10-ninefold.conf")
	}
	return l.ok(name, "starts through ninefold-enter")
}

// The bits of what ninefold-enter needs, and the form of the attribute (capabilities(7)).
const (
	capSysChroot, capSysAdmin = 18, 21
	maxCapabilityXattr        = 64
)

func (l Login) capabilities() Finding {
	const name = "ninefold-enter"
	const mend = "user managers stay on the host; run dpkg-reconfigure ninefold, or setcap cap_sys_admin,cap_sys_chroot=p " + enterProgram
	file := l.path(enterProgram)
	b := make([]byte, maxCapabilityXattr)
	n, err := unix.Getxattr(file, "security.capability", b)
	if err != nil || n < 12 {
		return l.missing(name, "it has no capabilities", mend)
	}
	permitted := uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24
	if permitted != 1<<capSysChroot|1<<capSysAdmin {
		return l.missing(name, fmt.Sprintf("it has the capabilities %#x", permitted), mend)
	}
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil || st.Uid != 0 || st.Mode&0o022 != 0 {
		return l.missing(name, "others than root can write it", "install Ninefold's package again, at once")
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(file, &fs); err == nil && fs.Flags&unix.ST_NOSUID != 0 {
		return l.missing(name, "its file system is mounted nosuid", "user managers stay on the host; mount /usr without nosuid")
	}
	return l.ok(name, "cap_sys_admin, cap_sys_chroot")
}

func (l Login) names() Finding {
	b, _ := os.ReadFile(l.path("/etc/nsswitch.conf"))
	for line := range strings.Lines(string(b)) {
		if sources, ok := strings.CutPrefix(strings.TrimSpace(line), "passwd:"); ok {
			f := l.ok("name services", "passwd: "+strings.Join(strings.Fields(sources), " "))
			if !strings.Contains(sources, "systemd") {
				f.State, f.Then = Fallback, "users that systemd makes up have no names; install libnss-systemd"
			}
			return f
		}
	}
	return l.ok("name services", "passwd: files")
}

func (l Login) polkit() Finding {
	f := l.ok("polkit", "")
	for _, name := range []string{"/usr/share/polkit-1/actions/org.ninefold.policy", "/usr/lib/polkit-1/polkitd"} {
		if _, err := os.Stat(l.path(name)); err != nil {
			f.State, f.Detail, f.Then = Fallback, name+" is not there", "only root can end and enter what belongs to others"
		}
	}
	return f
}
