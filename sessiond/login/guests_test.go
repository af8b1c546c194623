package login

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/config"
	"ninefold/sessiond/door"
	"ninefold/sessiond/identity"
)

func TestWhoIsInFrontOfTheMachine(t *testing.T) {
	// A process without a terminal, as a display manager's is.
	c := exec.Command("sleep", "1000")
	c.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}()
	for _, k := range []struct {
		service, tty string
		in           bool
	}{
		{"lightdm", "", true}, {"lightdm", ":0", true}, {"greetd", ":12", true},
		{"login", "", false}, {"login", ":0", false}, {"login", "ssh", false}, {"login", "pts/0", false}, {"login", "/dev/pts/0", false},
		{"login", "/dev/null", false}, {"login", "../tty1", false}, {"login", "tty1/../pts/0", false}, {"login", "/dev/ptmx", false}, {"login", "/dev/no-such", false},
		{"login", "/dev/console", false}, // which this process is not on
		{"lightdm", "ssh", false}, {"lightdm", "pts/3", false}, {"greetd", "far.example:0", false}, {"lightdm", ":0.0x", false},
	} {
		if err := local(k.service, k.tty, c.Process.Pid); (err == nil) != k.in {
			t.Errorf("%s at %q: %v", k.service, k.tty, err)
		}
	}
	if err := local("lightdm", ":0", 1<<22-3); err == nil {
		t.Error("a process that there is not is in front of the machine")
	}
}

func TestWhichTerminalsAreAnybodys(t *testing.T) {
	for device, is := range map[uint64]bool{
		unix.Mkdev(136, 0): true, unix.Mkdev(143, 255): true, unix.Mkdev(3, 1): true, unix.Mkdev(2, 1): true,
		unix.Mkdev(4, 1): false, unix.Mkdev(4, 64): false, unix.Mkdev(5, 1): false, unix.Mkdev(229, 0): false, unix.Mkdev(204, 64): false,
	} {
		if remote(device) != is {
			t.Errorf("%d:%d", unix.Major(device), unix.Minor(device))
		}
	}
}

func TestWhoMayComeInAsAGuest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"passwd": "mia:x:1000:1000::/home/mia:/bin/sh\n", "group": ""} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l := &Logins{users: identity.Host{Etc: dir, Getent: "/bin/false"}}
	good := door.Request{Op: door.Guest, User: "guest", Service: "greetd"}
	me := door.Peer{PID: os.Getpid()}
	refused := func(policy config.Guests, change func(*door.Request, *door.Peer)) string {
		r, from := good, me
		change(&r, &from)
		err := l.mayComeIn(t.Context(), policy, r, from)
		if no := (*errNoGuest)(nil); errors.As(err, &no) {
			return no.why
		}
		if err != nil {
			t.Errorf("an error of ours: %v", err)
		}
		return ""
	}
	for want, change := range map[string]func(*door.Request, *door.Peer){
		"lets none in by sshd":         func(r *door.Request, _ *door.Peer) { r.Service = "sshd" },
		"lets none in by su":           func(r *door.Request, _ *door.Peer) { r.Service = "su" },
		"guests are called guest":      func(r *door.Request, _ *door.Peer) { r.User = "mia" },
		"sit in front of this machine": func(r *door.Request, _ *door.Peer) { r.Rhost = "far.example" },
		"in somebody's session":        func(_ *door.Request, p *door.Peer) { p.Unit.Kind = door.SessionScope },
	} {
		if why := refused(config.Guests{}, change); !strings.Contains(why, want) {
			t.Errorf("%q instead of %q", why, want)
		}
	}
	if why := refused(config.Guests{Services: []string{"login"}}, func(*door.Request, *door.Peer) {}); !strings.Contains(why, "by greetd") {
		t.Errorf("a service that is not configured: %q", why)
	}
	if err := os.WriteFile(dir+"/passwd", []byte("guest:x:1001:1001::/home/guest:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, from := good, me
	if err := l.mayComeIn(t.Context(), config.Guests{}, r, from); err == nil {
		t.Error("a guest came in beside a user of that name")
	}
}

func TestATicketIsForOneLoginOnce(t *testing.T) {
	l := &Logins{tickets: map[uint32]ticket{}}
	for op, from := range map[door.Op]door.Peer{door.Guest: {UID: 1000}, door.GuestSession: {UID: 61200}} {
		if why := authorised(door.Request{Op: op, UID: 61200}, from); why == "" {
			t.Errorf("uid %d may ask for a guest", from.UID)
		}
	}
	if _, err := l.guestVestibule(door.Request{Op: door.GuestSession, UID: 61200, User: "guest-61200", Service: "login"}, door.Peer{PID: os.Getpid()}); err == nil {
		t.Error("a guest came in without a ticket")
	}
}
