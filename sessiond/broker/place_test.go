package broker

import (
	"os"
	"strings"
	"testing"

	"ninefold/sessiond/broker/wire"
	"ninefold/sessiond/door"
	"ninefold/sessiond/identity"
	"ninefold/tests/needs"
)

// What is written into a unit's file must be one line that is read as it is.
func TestDirectoriesAreNoSettings(t *testing.T) {
	for name, want := range map[string]bool{
		"/home/ann": true, "/home/ann/a b": true, "/home/ann/Größe": true, "/home/ann/%h $HOME": true,
		"/home/ann/x\nUser=root": false, "/home/ann/x\r": false, `/home/ann/x\`: false, "/home/ann/\xff": false, "/home/ann/\u2028": false,
	} {
		if literal(name) != want {
			t.Errorf("%q: got %v", name, !want)
		}
	}
}

// The same of a whole request: the command starts in the home, and is told so.
func TestNoUnitStartsInADirectoryThatIsASetting(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir() + "/x\nUser=root"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := New(Options{Host: func() (*os.File, error) { return os.Open("/proc/self/ns/mnt") }})
	leave, _ := b.limits.admit(0)
	defer leave()
	who := &caller{peer: door.Peer{UID: 0}, user: identity.User{Name: "root"}}
	c := &command{request: &wire.Request{Dir: dir}, target: identity.User{Name: "root", Home: "/root"}}
	b.place(who, c, []wire.FD{wire.FD(f.Fd())})
	if c.place != nil {
		defer c.place.Close()
	}
	if strings.ContainsAny(c.dir, "\n") || c.place == nil {
		t.Errorf("root's command starts in %q", c.dir)
	}
	c = &command{request: c.request, target: identity.User{Name: "ann", UID: 12345, Home: "/home/ann"}}
	b.place(who, c, []wire.FD{wire.FD(f.Fd())})
	if c.dir != "" || len(c.notices) != 1 || c.startDir() != "-/home/ann" {
		t.Errorf("the command starts in %q: %q", c.startDir(), c.notices)
	}
}
