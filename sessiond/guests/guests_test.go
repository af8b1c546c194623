package guests

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func said(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "try %d\theld\tEPERM\n", i)
	}
	return b.String()
}

func TestProbe(t *testing.T) {
	tries, writable, err := parseProbe(said(minTries) + "writable\t/tmp\ttmpfs\nread /etc/shadow\tthrough\tit worked\n")
	if err != nil || len(tries) != minTries+1 || tries[minTries].Held || !slices.Equal(writable, []string{"/tmp tmpfs"}) {
		t.Errorf("%v, %v, %v", tries, writable, err)
	}
	for what, text := range map[string]string{
		"nothing":             "",
		"too few":             said(minTries - 1),
		"cut short":           strings.TrimSuffix(said(minTries), "\n"),
		"another word":        said(minTries) + "x\tperhaps\ty\n",
		"no name":             said(minTries) + "\theld\ty\n",
		"a line without tabs": said(minTries) + "hello\n",
		"a line too long":     said(minTries) + "x\theld\t" + strings.Repeat("y", 1<<17) + "\n",
	} {
		if _, _, err := parseProbe(text); !errors.Is(err, errProbe) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzProbe(f *testing.F) {
	f.Add(said(minTries))
	f.Add("writable\t/tmp\ttmpfs\n")
	f.Fuzz(func(t *testing.T, text string) {
		tries, _, err := parseProbe(text)
		if err == nil && len(tries) < minTries {
			t.Errorf("%d tries of %q", len(tries), text)
		}
	})
}

// TestLock is systemd's protocol: a lock that is held is seen, and a file that was
// unlinked in between counts for nothing.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	first, err := lock(dir, FirstID)
	if err != nil || first == nil {
		t.Fatal(err)
	}
	if second, err := lock(dir, FirstID); second != nil || err != nil {
		t.Errorf("the lock was given twice: %v", err)
	}
	first.give()
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("left are %v", names)
	}
	again, err := lock(dir, FirstID)
	if err != nil || again == nil {
		t.Fatalf("it is not free again: %v", err)
	}
	again.give()
	if err := os.Symlink("/dev/null", filepath.Join(dir, number(FirstID))); err != nil {
		t.Fatal(err)
	}
	if _, err := lock(dir, FirstID); err == nil {
		t.Error("a link was followed")
	}
}

func TestNotice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "userdb")
	if err := notice(dir, FirstID, "/home/guest", "/usr/sbin/nologin"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, number(FirstID)+".user"))
	var user struct {
		UserName string `json:"userName"`
		UID      uint32 `json:"uid"`
		Locked   bool   `json:"locked"`
	}
	if err != nil || json.Unmarshal(b, &user) != nil || user.UserName != Name(FirstID) || user.UID != FirstID || !user.Locked {
		t.Errorf("%s, %v", b, err)
	}
	if strings.Contains(string(b), "hashedPassword") {
		t.Error("the password's field is for everybody to read")
	}
	st, err := os.Stat(filepath.Join(dir, Name(FirstID)+".user-privileged"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	for range 2 {
		if err := forget(dir, FirstID); err != nil {
			t.Error(err)
		}
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("left are %v", names)
	}
}

// TestReportsAreBounded: many guests do not fill the disk with what is said of them, and those
// of users push out none of others.
func TestReportsAreBounded(t *testing.T) {
	g := Open(t.TempDir())
	if err := os.MkdirAll(g.reports(), 0o700); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	var want []string
	for i := range 2*maxReports + 10 {
		r := Report{Name: Name(FirstID), Begun: from.Add(time.Duration(i) * time.Second)}
		if i >= maxReports+5 {
			r.For = 1000
		}
		if err := os.WriteFile(filepath.Join(g.reports(), reportName(&r)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if i >= 5 && i < maxReports+5 || i >= maxReports+10 {
			want = append(want, reportName(&r))
		}
	}
	if err := g.prune(); err != nil {
		t.Fatal(err)
	}
	if left, err := namesIn(g.reports()); err != nil || !slices.Equal(left, want) {
		t.Errorf("%d reports, %v: %q", len(left), err, left)
	}
}

func TestIPCTables(t *testing.T) {
	name := filepath.Join(t.TempDir(), "shm")
	const table = `       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid
         0          7   600                 4096   100   100      0     0     0 61200 61200
         0          8   600                 4096   100   100      0 61200     0     0     0
         0          9   600                 4096 61200 61200      0     0 61200     0 61200
`
	if err := os.WriteFile(name, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ipcOf(name, 61200); err != nil || !slices.Equal(got, []string{"7", "8"}) {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.WriteFile(name, []byte("key id\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ipcOf(name, 61200); err == nil {
		t.Error("a table without owners was believed")
	}
}

// TestAnIDInUseIsGivenUp: an id that somebody has is left alone, with whatever is
// known of who has it.
func TestAnIDInUseIsGivenUp(t *testing.T) {
	g := &Guests{dir: t.TempDir(), locks: t.TempDir(), users: t.TempDir()}
	if err := os.MkdirAll(g.taken(), 0o700); err != nil {
		t.Fatal(err)
	}
	r := Report{Name: Name(FirstID), UID: FirstID, State: Live}
	busy := make(chan error, 2)
	busy <- errInUse
	if err := r.claim(t.Context(), g, "/home/guest", "/usr/sbin/nologin", busy); !errors.Is(err, errInUse) {
		t.Errorf("%v", err)
	}
	for _, dir := range []string{g.taken(), g.users} {
		if names, _ := os.ReadDir(dir); len(names) != 0 {
			t.Errorf("left are %v", names)
		}
	}
	busy <- nil
	if err := r.claim(t.Context(), g, "/home/guest", "/usr/sbin/nologin", busy); err != nil {
		t.Fatal(err)
	}
	if !g.isTaken(FirstID) {
		t.Error("nothing says that it is taken")
	}
	root := Report{Name: Name(0), UID: 0, State: Live}
	busy <- nil
	if err := root.claim(t.Context(), g, "/home/guest", "/usr/sbin/nologin", busy); !errors.Is(err, errInUse) || g.isTaken(0) {
		t.Errorf("an account's id: %v", err)
	}
	if err := unused(uint32(os.Getuid())); !errors.Is(err, errInUse) {
		t.Errorf("the id of this very process: %v", err)
	}
}
