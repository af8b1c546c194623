package guests_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
	"ninefold/tests/needs"
)

// logIn has a guest log in, to a session like s, as daemon and keeper do, and
// returns its name, the first process of the session that was prepared for it, 0 for
// none, and of the one that it is in.
func logIn(t *testing.T, all *guests.Guests, s *decided.Session) (name string, offered, got int) {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	begun, err := all.BeginLogin(t.Context(), s.Profile, "login", "/dev/tty1", "/bin/false")
	fatal(err)
	name = begun.Name
	if r := begun.Report; r.Service != "login" || r.Terminal != "/dev/tty1" || r.State != guests.Live || r.Keeper.PID != 0 {
		t.Errorf("the record of who logs in is %+v", r)
	}
	if out, err := exec.Command("getent", "-s", "systemd", "passwd", name).Output(); err == nil && !strings.HasSuffix(string(out), ":"+guests.LoginHome+":/bin/false\n") {
		t.Errorf("its account is %s", out)
	}
	sent, err := begun.ForKeeper()
	fatal(err)
	fatal(begun.HandOver())
	text := make([]byte, 4096)
	n, _, _, _, err := unix.Recvmsg(int(sent.Fd()), text, nil, unix.MSG_PEEK)
	fatal(err)
	var offer struct{ PID int }
	fatal(json.Unmarshal(text[:n], &offer))

	if n, err := all.Taken(); err != nil || n != 1 {
		t.Errorf("on the way are %d, %v", n, err) // its lock lies in the socket
	}
	kept, err := all.Adopt(begun.UID, sent)
	fatal(err)
	sent.Close()
	session, err := kept.Start(t.Context(), s)
	fatal(err)
	got = session.PID()
	said := heard(t, func(out *os.File) error {
		c, err := session.Enter(namespaces.Command{Argv: []string{"sh", "-c", "id -un; echo $OTHER"}, Stdout: out})
		if err == nil {
			_, err = c.Wait()
		}
		return err
	})
	if !strings.HasPrefix(said, name+"\n") || len(kept.Tries) == 0 {
		t.Errorf("in is %s, where %d things were tried, and %s was to be", said, len(kept.Tries), name)
	}
	fatal(session.Close())
	fatal(kept.End())
	return name, offer.PID, got
}

// TestLoginsWithoutAPool: a guest who logs in has a session made.
func TestLoginsWithoutAPool(t *testing.T) {
	needs.Root(t)
	state := t.TempDir()
	all, s := guests.Open(state).Asking(""), decide(t, state)
	withoutRecords(t, all)
	if _, offered, got := logIn(t, all, s); offered != 0 || got <= 1 {
		t.Errorf("offered was %d, and is %d", offered, got)
	}
}

// TestNobodyWaitsForAGuestWhoseLoginIsGone: the keeper's patience ends with the login program.
func TestNobodyWaitsForAGuestWhoseLoginIsGone(t *testing.T) {
	needs.Root(t)
	state := t.TempDir()
	all := guests.Open(state).Asking("")
	withoutRecords(t, all)
	guest, err := all.BeginLogin(t.Context(), "visitor", "login", "/dev/tty1", "/bin/false")
	if err != nil {
		t.Fatal(err)
	}
	login := exec.Command("sleep", "1000")
	if err := login.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := process.StartTime(login.Process.Pid)
	if err != nil {
		t.Error(err)
	}
	guest.ComesBy(journal.Process{PID: login.Process.Pid, Start: start})
	coming, cancel := guest.ByLogin(t.Context())
	defer cancel()
	if coming.Err() != nil {
		t.Error("nobody waits")
	}
	_ = login.Process.Kill()
	_ = login.Wait()
	select {
	case <-coming.Done():
		if !errors.Is(context.Cause(coming), guests.ErrLogin) {
			t.Error(context.Cause(coming))
		}
	case <-time.After(30 * time.Second):
		t.Error("it is waited for")
	}
	if err := guest.End(); err != nil {
		t.Error(err)
	}
}
