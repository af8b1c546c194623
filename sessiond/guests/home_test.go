package guests_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
	"ninefold/tests/needs"
)

// lab is a profile that keeps the home of its guests.
type lab struct {
	config, state string
	all           *guests.Guests
	session       *decided.Session
}

func newLab(t *testing.T) *lab {
	t.Helper()
	needs.Root(t)
	needs.Programs(t, "mkfs.ext4", "e2fsck")
	l := &lab{config: t.TempDir(), state: t.TempDir()}
	profile := filepath.Join(l.config, "profiles", "lab.toml")
	for _, err := range []error{os.Mkdir(filepath.Dir(profile), 0o755),
		os.WriteFile(profile, []byte("version = 1\nhome = \"kept\"\n[isolation]\nuser = \"dynamic\"\n[keep]\nsize = \"16M\"\n"), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	l.all = guests.Open(l.state).Asking("")
	withoutRecords(t, l.all)
	text, err := l.sessionctl(t, "ns", "lab").Output()
	if err != nil {
		t.Fatalf("%v (make build)", err)
	}
	p, err := plan.Parse("lab", text)
	if err != nil {
		t.Fatal(err)
	}
	l.session = &decided.Session{Profile: "lab", Plan: p, Guest: guests.FirstID, Command: []string{"/bin/sh"}}
	return l
}

func (l *lab) sessionctl(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := filepath.Abs("../../bin/sessionctl")
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(bin, append([]string{"--config", l.config, "--state", l.state}, args...)...)
}

// says is what a guest who runs a script says.
func (l *lab) says(t *testing.T, script string) string {
	t.Helper()
	return heard(t, func(out *os.File) error {
		_, err := l.all.Run(t.Context(), l.session, decided.Request{Command: []string{"/bin/sh", "-c", script}, Stdout: out, Stderr: out})
		return err
	})
}

// whole looks whether nothing is wrong with the file system, which is in use by nobody.
func (l *lab) whole(t *testing.T) {
	t.Helper()
	disk := l.all.HomeDisk("lab")
	eventually(t, "the home is free", func() bool {
		homes, err := l.all.Homes()
		return err == nil && len(homes) == 1 && !homes[0].InUse
	})
	if out, err := exec.Command("e2fsck", "-f", "-n", disk).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestAHomeIsKept: each guest is somebody new, and finds what the one before left.
func TestAHomeIsKept(t *testing.T) {
	l := newLab(t)
	first := strings.Fields(l.says(t, "id -u; stat -c %u:%a ~; ls -A ~; echo one >~/file; cp /bin/sh ~/sh; chmod 4755 ~/sh"))
	second := strings.Fields(l.says(t, "id -u; stat -c %u ~/file ~/sh; cat ~/file; echo two >>~/file && rm ~/sh; ~/sh -c 'id -u' 2>/dev/null"))
	if len(first) != 2 || first[1] != first[0]+":700" {
		t.Errorf("the first guest sees %q", first)
	}
	if len(second) != 4 || second[0] == first[0] || second[1] != second[0] || second[2] != second[0] || second[3] != "one" {
		t.Errorf("after the guest %s the second sees %q", first[0], second)
	}
	if third := l.says(t, "cat ~/file; head -c 64M /dev/zero >~/much; rm ~/much; echo three >>~/file; tail -n 1 ~/file"); !strings.HasPrefix(third, "one\ntwo\n") || !strings.Contains(third, "No space left") || !strings.HasSuffix(third, "three\n") {
		t.Errorf("the third guest sees %s", third)
	}
	list, err := l.all.List()
	if err != nil || len(list) != 3 {
		t.Fatalf("%d guests, %v", len(list), err)
	}
	for _, r := range list {
		if !strings.HasPrefix(r.Kept, "/home/guest, on device 7:") || !strings.Contains(strings.Join(r.Writable, ";"), "/home/guest ext4") {
			t.Errorf("the report says of the home %q, of %q", r.Kept, r.Writable)
		}
	}
	homes, err := l.all.Homes()
	if err != nil || len(homes) != 1 || homes[0].Profile != "lab" || homes[0].Size != 16<<20 || homes[0].Used < 16<<20 || homes[0].InUse {
		t.Errorf("homes: %+v, %v", homes, err)
	}
	if st, err := os.Stat(filepath.Dir(filepath.Dir(l.all.HomeDisk("lab")))); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("homes lie in %v, %v", st, err)
	}
	l.whole(t)
	if err := l.all.ForgetHome("lab"); err != nil {
		t.Error(err)
	}
	if got := l.says(t, "ls -A ~"); got != "" {
		t.Errorf("in a home that was forgotten is %s", got)
	}
}

// TestAKeptHomeIsOneGuestsAtATime, and is not for everybody.
func TestAKeptHomeIsOneGuestsAtATime(t *testing.T) {
	l := newLab(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	name := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	over := make(chan error, 1)
	go func() {
		_, err := l.all.Run(t.Context(), l.session, decided.Request{Command: []string{"/bin/sh", "-c", "echo mine >~/file; echo in; cat"}, Stdin: r, Stdout: out})
		over <- err
	}()
	eventually(t, "the first guest is in", func() bool { b, err := os.ReadFile(name); return err == nil && string(b) == "in\n" })
	if homes, err := l.all.Homes(); err != nil || len(homes) != 1 || !homes[0].InUse {
		t.Errorf("homes: %+v, %v", homes, err)
	}
	if _, err := l.all.Run(t.Context(), l.session, decided.Request{Command: []string{"true"}}); !errors.Is(err, guests.ErrHomeInUse) {
		t.Errorf("a second guest came in: %v", err)
	}
	if err := l.all.ForgetHome("lab"); !errors.Is(err, guests.ErrHomeInUse) {
		t.Errorf("the home of a guest who is in was forgotten: %v", err)
	}
	w.Close()
	if err := <-over; err != nil {
		t.Error(err)
	}
	if got := l.says(t, "cat ~/file"); got != "mine\n" {
		t.Errorf("the next guest finds %s", got)
	}
	if _, err := l.all.For(1000, 2).Run(t.Context(), l.session, decided.Request{Command: []string{"true"}}); !errors.Is(err, guests.ErrHomeOthers) {
		t.Errorf("a user had such a guest: %v", err)
	}
	if _, err := l.all.Prepare(t.Context(), l.session); !errors.Is(err, guests.ErrHomeWaits) {
		t.Errorf("a session was prepared: %v", err)
	}
	for _, name := range []string{"other", "..", "lab/..", ""} {
		if err := l.all.ForgetHome(name); !errors.Is(err, guests.ErrNoHome) {
			t.Errorf("forget %q: %v", name, err)
		}
	}
}

// TestAKeeperIsKilled: whenever that is, the next guest has the home, with what was
// on disk.
func TestAKeeperIsKilled(t *testing.T) {
	l := newLab(t)
	last := 0
	for i := range 12 {
		name := filepath.Join(t.TempDir(), "out")
		out, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		c := l.sessionctl(t, "run", "lab", "--", "sh", "-c", fmt.Sprintf("echo %d >>~/log; sync ~/log; echo %d; sleep 1000", i, i))
		c.Stdout = out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 12 * time.Millisecond) // any moment of a start
		if i == 11 {
			eventually(t, "something is on disk", func() bool { b, err := os.ReadFile(name); return err == nil && len(b) > 0 })
		}
		_ = c.Process.Kill()
		_ = c.Wait()
		out.Close()
		if b, err := os.ReadFile(name); err == nil && len(b) > 0 {
			last = i
		}
	}
	var got []byte
	eventually(t, "the next guest is in", func() bool {
		c := l.sessionctl(t, "run", "lab", "--", "cat", "/home/guest/log")
		var err error
		got, err = c.Output()
		return err == nil
	})
	if !strings.Contains("\n"+string(got), fmt.Sprintf("\n%d\n", last)) {
		t.Errorf("what the guest %d had on disk is not among\n%s", last, got)
	}
	l.whole(t)
	if entries, err := os.ReadDir(filepath.Dir(l.all.HomeDisk("lab"))); err != nil || len(entries) != 1 {
		t.Errorf("beside the home lie %v, %v", entries, err)
	}
}
