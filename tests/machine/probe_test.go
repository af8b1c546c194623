package machine

import (
	"strings"
	"testing"
)

// probeScript says where a login finds itself. It lies in the home, which is
// there whatever the root. systemd flushes a terminal that a service gets, and with it
// what nobody has read yet.
const probeScript = `#!/bin/sh
echo "user=$(id -un)"
echo "marker=$(cat /etc/ninefold-marker 2>/dev/null)"
echo "mnt=$(readlink /proc/self/ns/mnt)"
echo "cwd=$(pwd)"
echo "profile=$NINEFOLD_PROFILE"
echo "runtime=$XDG_RUNTIME_DIR"
echo "session=$(loginctl show-session "$XDG_SESSION_ID" --property=State --value 2>&1)"
echo "name=$(loginctl show-session "$XDG_SESSION_ID" --property=Name --value 2>&1)"
echo "manager=$(systemctl --user is-active basic.target 2>&1)"
echo "scope=$(systemd-run --user --scope --quiet -- readlink /proc/self/ns/mnt 2>&1)"
echo "service=$(systemd-run --user --pipe --wait --quiet -- readlink /proc/self/ns/mnt </dev/null 2>&1)"
echo "bus=$(busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetId >/dev/null 2>&1 && echo yes)"
echo "caps=$(sed -n 's/^CapPrm:[[:space:]]*//p' /proc/self/status)"
`

// probe logs in and returns what probeScript says, with the checks made that
// hold for every login: it is in one piece.
func (b *Booted) probe(t *testing.T, w Way, user string) map[string]string {
	t.Helper()
	p, _ := b.look(t, w, user)
	b.whole(t, p, user)
	return p
}

// look logs in and returns what probeScript says, and what the terminal showed
// or stderr had.
func (b *Booted) look(t *testing.T, w Way, user string) (p map[string]string, shown string) {
	t.Helper()
	b = b.For(t)
	b.Write("/home/"+user+"/probe", probeScript)
	r := b.Login(w, user, "sh /home/"+user+"/probe")
	if !r.OK() {
		t.Fatal(r)
	}
	p = map[string]string{"way": w.Name}
	for line := range strings.Lines(r.Stdout) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
			p[name] = value
		}
	}
	if p["user"] != user || strings.Trim(p["caps"], "0") != "" {
		t.Errorf("not a login of %s without capabilities: %v", user, p)
	}
	return p, r.Stderr
}

// whole wants a session that logind knows, and a user manager in the same view.
func (b *Booted) whole(t *testing.T, p map[string]string, user string) {
	t.Helper()
	switch {
	case p["name"] != user || p["session"] != "active" && p["session"] != "online":
		t.Errorf("logind knows no session of it: %v", p)
	case p["manager"] != "active" || p["bus"] != "yes":
		t.Errorf("the user manager does not answer: %v", p)
	case p["scope"] != p["mnt"] || p["service"] != p["mnt"]:
		t.Errorf("the session and what its user manager starts are in different views: %v", p)
	}
}
