package login

import (
	"os"
	"path/filepath"
	"testing"

	"ninefold/sessiond/door"
)

func TestWhatWasPickedAtAGreeter(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"bob":   "[User]\nLanguage=\nSession=ninefold-dev+gnome\nXSession=gnome\nSystemAccount=false\n\n[InputSource0]\nxkb=us\n",
		"old":   "[User]\nXSession = ninefold-dev+xfce\n",
		"alice": "[User]\nSession=gnome\nXSession=ninefold-dev+xfce\n",
		"other": "[Other]\nSession=ninefold-dev+xfce\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := &Logins{accounts: dir}
	for _, c := range []struct {
		r    door.Request
		want string
	}{
		{door.Request{Op: door.Prepare, User: "bob", Service: "gdm-password"}, "dev"},
		{door.Request{Op: door.Session, User: "old", Service: "gdm-fingerprint"}, "dev"},
		{door.Request{Op: door.Session, User: "alice", Service: "gdm-password"}, ""},
		{door.Request{Op: door.Session, User: "other", Service: "gdm-password"}, ""},
		{door.Request{Op: door.Session, User: "nobody-yet", Service: "gdm-password"}, ""},
		{door.Request{Op: door.Session, User: "../users/bob", Service: "gdm-password"}, ""},
		{door.Request{Op: door.Session, User: "bob", Service: "sshd"}, ""},
		{door.Request{Op: door.Session, User: "bob", Service: "gdm-launch-environment"}, ""},
		{door.Request{Op: door.Session, User: "bob", Service: "gdm-password", Choice: "lab"}, "lab"},
		{door.Request{Op: door.Session, User: "bob", Service: "lightdm", Choice: "lab+xfce"}, "lab"},
		{door.Request{Op: door.Session, User: "bob", Choice: "~mine"}, "~mine"},
	} {
		if got := l.chosen(c.r); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.r, got, c.want)
		}
	}
}
