package attack

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

const keptHome = plan.GuestHome

// A home that is kept could be a directory or a mounted disk of the host's. These are
// what makes it another thing.
var homeRules = []rule{
	{name: "ids mapped", without: func(p *plan.Plan, mounted string) {
		for i, op := range p.Ops {
			if d, ok := op.(plan.Disk); ok {
				p.Ops[i] = plan.Bind{Source: mounted, Target: d.Target, Flags: d.Flags}
			}
		}
	}},
	{name: "nosuid", without: onHome(func(f *plan.Flags) { f.NoSuid = false })},
	{name: "nodev", without: onHome(func(f *plan.Flags) { f.NoDev = false })},
	// The filter brings it, too.
	{name: "no_new_privs", without: privileges(func(r *plan.Privileges) { r.NoNewPrivs, r.Seccomp = false, "" })},
}

// onHome changes the flags of the home, whatever it is mounted from.
func onHome(f func(*plan.Flags)) func(*plan.Plan, string) {
	return func(p *plan.Plan, _ string) {
		for i, op := range p.Ops {
			switch o := op.(type) {
			case plan.Disk:
				f(&o.Flags)
				p.Ops[i] = o
			case plan.Bind:
				if o.Target == keptHome {
					f(&o.Flags)
					p.Ops[i] = o
				}
			}
		}
	}
}

// homeAttacks are tried on what lies in a home that is kept, even if somebody had got
// it there by another way, as root.
var homeAttacks = []struct {
	name, try, file string
	by              []string
}{
	{"run a program in the home that is setuid root", "run", "roots", []string{"ids mapped", "nosuid", "no_new_privs"}},
	{"open a device in the home", "look", "device", []string{"nodev"}},
	{"change a file in the home that is another guest's", "change", "another", []string{"ids mapped"}},
}

// change opens a file to write to it.
func change(names []string) error {
	f, err := os.OpenFile(names[0], os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	f.Close()
	return broke("it can be written to")
}

// keeping writes a profile that keeps the home of its guests, until the end of the
// test, and returns its plan.
func keeping(t *testing.T, name string) (*plan.Plan, plan.Disk) {
	t.Helper()
	p := profile{name, fmt.Sprintf("home = \"kept\"\nnamespace = \"bind -r %s %s\"\n[keep]\nsize = \"32M\"\n[isolation]\nuser = \"dynamic\"\n", bin, guestBin), 0}
	if err := p.write(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := sessionctl("guest", "forget", name).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	text, err := sessionctl("ns", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	planned, err := plan.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(planned.Ops, func(op plan.Op) bool { _, ok := op.(plan.Disk); return ok })
	return planned, planned.Ops[at].(plan.Disk)
}

// mountHome mounts the disk of a home on the host, as no session does.
func mountHome(t *testing.T, disk string) (at string, unmount func()) {
	t.Helper()
	at = filepath.Join(dir, "mounted")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop,suid,dev", disk, at).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return at, func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	}
}

// TestAttacksOnAKeptHome: what is on it makes nobody more than the guest; without any of
// the rules it does, and each of the named ones alone denies it.
func TestAttacksOnAKeptHome(t *testing.T) {
	needs.Programs(t, "mkfs.ext4")
	intact, disk := keeping(t, "kept")
	if out, err := run(guest, "kept", "true"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	furnishHome(t, disk)
	for _, a := range homeAttacks {
		attack(t, guest, "kept", a.try, filepath.Join(keptHome, a.file))
		for _, alone := range append([]rule{{}}, homeRules...) {
			if alone.name != "" && !slices.Contains(a.by, alone.name) {
				continue
			}
			through := triedInHome(t, intact, disk.Source, alone.name, a.try, filepath.Join(keptHome, a.file))
			if through != (alone.name == "") {
				t.Errorf("%s: with %q alone it got through: %v", a.name, alone.name, through)
			}
		}
	}
}

// furnishHome puts what is to be tried into the home.
func furnishHome(t *testing.T, disk plan.Disk) {
	t.Helper()
	at, unmount := mountHome(t, disk.Source)
	defer unmount()
	program, err := os.ReadFile(bin + "/attacker")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.WriteFile(at+"/roots", program, 0o755), os.Chmod(at+"/roots", 0o755|os.ModeSetuid),
		device(at+"/device", [2]uint32{1, 5}, false),
		os.WriteFile(at+"/another", []byte("another's"), 0o600), os.Chown(at+"/another", int(disk.UID), int(disk.GID)),
		// The home itself is to deny nothing.
		os.Chmod(at, 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// triedInHome tries something in a session without the rules but one, and reports
// whether it got through.
func triedInHome(t *testing.T, intact *plan.Plan, disk, alone string, try ...string) bool {
	t.Helper()
	p := &plan.Plan{Class: plan.Trusted, Ops: slices.Clone(intact.Ops)}
	at := ""
	if alone != "ids mapped" {
		var unmount func()
		at, unmount = mountHome(t, disk)
		defer unmount()
	}
	for _, r := range homeRules {
		if r.name != alone {
			r.without(p, at)
		}
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := namespaces.Run(context.Background(), p, namespaces.Command{
		Argv: append([]string{guestBin + "/attacker", "try"}, try...), Stdout: out, Stderr: out}); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, held) && !strings.HasPrefix(last, through) {
		t.Fatalf("the try did not come to an end:\n%s", said)
	}
	return strings.HasPrefix(last, through)
}

// TestAKeptHomeLeavesNoOnesFiles: a guest who makes a setuid program in the home leaves
// on a host's directory one that is of the guest's id, which somebody else has
// later; in a home that is kept it is nobody's, and the host has no name for it.
func TestAKeptHomeLeavesNoOnesFiles(t *testing.T) {
	needs.Programs(t, "mkfs.ext4")
	weak, disk := keeping(t, "leaves")
	const leave = "cp " + guestBin + "/attacker ~/left && chmod 4755 ~/left && id -u"
	uid, err := run(guest, "leaves", "sh", "-c", leave)
	if err != nil {
		t.Fatalf("%v: %s", err, uid)
	}
	at, unmount := mountHome(t, disk.Source)
	owner, setuid := ownerOf(t, at+"/left")
	unmount()
	if owner != plan.DiskOwner || !setuid {
		t.Errorf("on the disk it is uid %d's, setuid %v", owner, setuid)
	}
	if err := filepath.WalkDir(filepath.Dir(filepath.Dir(disk.Source)), func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			if owner, _ := ownerOf(t, name); owner != 0 {
				t.Errorf("%s is uid %d's", name, owner)
			}
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	// The same, on a directory of the host's.
	naive, err := os.MkdirTemp(dir, "naive-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(naive, int(disk.UID), int(disk.GID)); err != nil {
		t.Fatal(err)
	}
	for i, op := range weak.Ops {
		if d, ok := op.(plan.Disk); ok {
			weak.Ops[i] = plan.Bind{Source: naive, Target: d.Target, Flags: d.Flags}
		}
	}
	if status, err := namespaces.Run(context.Background(), weak, namespaces.Command{Argv: []string{"sh", "-c", leave}}); err != nil || status.Code != 0 {
		t.Fatal(status, err)
	}
	if owner, setuid := ownerOf(t, naive+"/left"); owner != disk.UID || !setuid {
		t.Errorf("nothing is left where nothing denies it: uid %d's, setuid %v", owner, setuid)
	}
}

func ownerOf(t *testing.T, name string) (uid uint32, setuid bool) {
	t.Helper()
	st, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return st.Sys().(*syscall.Stat_t).Uid, st.Mode()&os.ModeSetuid != 0
}
