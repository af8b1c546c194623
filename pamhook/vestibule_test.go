package pamhook

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ninefold/sessiond/door"
	"ninefold/tests/needs"
)

// newVestibule is the host once more, with the wrapper in the place of /bin/dash
// and the shell itself where door.h says.
func newVestibule(t *testing.T, enter string) *view {
	t.Helper()
	const at = "/run/ninefold/vestibule"
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(at) })
	v := newView(t)
	v.run("mount", "-t", "tmpfs", "-o", "mode=0755", "vestibule", at)
	v.run("touch", at+"/shell")
	v.run("mount", "--bind", "/bin/dash", at+"/shell")
	v.run("mount", "--bind", enter, "/bin/dash")
	return v
}

// TestAVestibule: the module puts the login into a vestibule, and the way into
// the untrusted view follows at the login shell, after the change of uid.
func TestAVestibule(t *testing.T) {
	needs.Root(t)
	inner := newUntrustedView(t)
	vestibule := newVestibule(t, wrapper(t, fileCaps))
	join := func() (door.Reply, []*os.File) {
		return door.Reply{Verdict: door.Enter, FDs: []door.FDKind{door.FDUser, door.FDMount}, Environment: []string{"NINEFOLD_VIEW=inner"}},
			[]*os.File{inner.ns("user"), inner.ns("mnt")}
	}
	p := listen(t, func(r door.Request) (door.Reply, []*os.File) {
		if r.Op == door.Join {
			return join()
		}
		reply, files := vestibule.enter()(r)
		reply.Flags = door.Vestibule
		return reply, files
	})
	service(t, "su", built(t, "pam_ninefold.so"), "")
	login := func() result {
		t.Helper()
		return finish(t, exec.Command("su", "-s", "/bin/dash", person, "-c", what))
	}

	r := login()
	if r.code != 0 || !strings.HasPrefix(r.out, inner.id()+"\n") {
		t.Errorf("not in the view: %+v", r)
	}
	contains(t, "the environment", r.out, "NINEFOLD_VIEW=inner\n")
	contains(t, "the status", r.out, "NoNewPrivs:\t1")
	powerless(t, r)
	if got := p.ops(); !slices.Equal(got, []door.Op{door.Prepare, door.Session, door.Join}) {
		t.Errorf("asked %v", got)
	}

	// A script of the user's that the login program starts itself, and the shell
	// is the interpreter of, is run in the view with the arguments it was given.
	own := tempDir(t) + "/xsession"
	if err := os.WriteFile(own, []byte("#!/bin/dash\necho \"$0 $# $1\"; "+what+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r = finish(t, exec.Command("nsenter", "--mount="+vestibule.ns("mnt").Name(), "setpriv", "--reuid=4901", "--regid=4901", "--clear-groups", own, "gnome"))
	if r.code != 0 || !strings.HasPrefix(r.out, own+" 1 gnome\n"+inner.id()+"\n") {
		t.Errorf("a script: %+v", r)
	}

	// Where the second step fails there is the shell itself.
	join = func() (door.Reply, []*os.File) { return door.Reply{Verdict: door.Host, Message: "it is gone"}, nil }
	r = login()
	if r.code != 0 || !strings.HasPrefix(r.out, vestibule.id()+"\n") {
		t.Errorf("not in the vestibule: %+v", r)
	}
	contains(t, "stderr", r.errors, "it is gone")
	powerless(t, r)

	// A script of root's there is run by the shell, and asks nobody.
	script := tempDir(t) + "/motd"
	if err := os.WriteFile(script, []byte("#!/bin/dash\necho motd $(id -u)\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := len(p.ops())
	cmd := exec.Command("nsenter", "--mount="+vestibule.ns("mnt").Name(), script)
	if r := finish(t, cmd); r.code != 0 || r.out != "motd 0\n" {
		t.Errorf("%+v", r)
	}
	if len(p.ops()) != before {
		t.Error("root was asked about")
	}
}

// Outside of a vestibule a call by another name leads nowhere but the view.
func TestAnotherName(t *testing.T) {
	needs.Root(t)
	enter := wrapper(t, fileCaps)
	listen(t, say(door.Host, ""))
	for _, argv := range [][]string{{"-bash"}, {"sh", "-c", "echo ran"}, {""}, {"/usr/bin/ninefold-enter/sh"}} {
		cmd := exec.Command(enter)
		cmd.Args = argv
		cmd.SysProcAttr = asUser(personUID)
		if r := finish(t, cmd); r.code != 127 || r.out != "" {
			t.Errorf("%q: %+v", argv, r)
		}
	}
}
