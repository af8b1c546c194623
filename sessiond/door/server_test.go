package door

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// echo answers with who asked, and a descriptor.
type echo struct {
	mu   sync.Mutex
	from []Peer
}

func (e *echo) Answer(_ context.Context, r Request, from Peer) (Reply, []*os.File) {
	e.mu.Lock()
	e.from = append(e.from, from)
	e.mu.Unlock()
	f, err := os.Open("/proc/self/ns/mnt")
	if err != nil {
		return Reply{Verdict: Host, Message: err.Error()}, nil
	}
	return Reply{Verdict: Enter, View: "v-" + r.User, FDs: []FDKind{FDMount}}, []*os.File{f}
}

func (e *echo) callers() []Peer {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.from
}

func serve(t *testing.T, h Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "door")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewServer(h, slog.New(slog.NewTextHandler(io.Discard, nil))).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestTheCallerIsTheKernels(t *testing.T) {
	h := &echo{}
	path := serve(t, h)
	reply, files, err := Ask(path, Request{Op: Session, UID: 4242, User: "mia"})
	if err != nil || reply.Verdict != Enter || reply.View != "v-mia" || len(files) != 1 {
		t.Fatalf("got %+v %v %v", reply, files, err)
	}
	defer files[0].Close()
	var mine, theirs unix.Stat_t
	if unix.Fstat(int(files[0].Fd()), &theirs) != nil || unix.Stat("/proc/self/ns/mnt", &mine) != nil || mine.Ino != theirs.Ino {
		t.Error("the descriptor is of something else")
	}
	if p := h.callers()[0]; p.PID != os.Getpid() || p.UID != uint32(os.Getuid()) || p.Start == 0 {
		t.Errorf("the caller is told as %+v", p)
	}
	if reply, _, err := Ask(path, Request{Op: Ping}); err != nil || reply.Verdict != Host {
		t.Errorf("ping: %+v %v", reply, err)
	}
}

func TestBadMessagesAreNotAnswered(t *testing.T) {
	h := &echo{}
	path := serve(t, h)
	before := openFiles(t)
	whole, err := Request{Op: Ping}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"garbage": []byte("hello"), "cut": whole[:879], "too long": append(whole, 1), "huge": make([]byte, 1<<16)} {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := c.Read(make([]byte, 4096)); n != 0 || err == nil {
			t.Errorf("%s: %d bytes came back, %v", name, n, err)
		}
		c.Close()
	}
	// Descriptors in a request are dropped by the kernel, since nobody asks for them.
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.WriteMsgUnix(whole, unix.UnixRights(0, 1, 2), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 4096)); err != nil {
		t.Error(err)
	}
	c.Close()
	waitForFiles(t, before)
	if len(h.callers()) != 0 {
		t.Error("a bad message reached the handler")
	}
}

func TestSilentConnectionsDoNotKeepOthersOut(t *testing.T) {
	path := serve(t, &echo{})
	for range 40 {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, files, err := Ask(path, Request{Op: Session, User: "mia"}); err != nil {
		t.Error(err)
	} else {
		files[0].Close()
	}
}

func TestALimitOfOneUserIsNobodyElses(t *testing.T) {
	l, now := newLimiter(), time.Unix(1000, 0)
	var releases []func()
	for range maxOfOneUser {
		release, ok := l.admit(1000, now)
		if !ok {
			t.Fatal("refused too early")
		}
		releases = append(releases, release)
	}
	if _, ok := l.admit(1000, now); ok {
		t.Error("more connections than a user may have")
	}
	if _, ok := l.admit(1001, now); !ok {
		t.Error("another user is kept out")
	}
	for _, r := range releases {
		r()
	}
	admitted := 0
	for range 1000 {
		if r, ok := l.admit(1000, now); ok {
			admitted++
			r()
		}
	}
	if admitted != rateBurst-maxOfOneUser {
		t.Errorf("%d more requests were let in at once", admitted)
	}
	if _, ok := l.admit(1000, now.Add(time.Second)); !ok {
		t.Error("a second later nothing is let in")
	}
	for range 100000 {
		if _, ok := l.admit(0, now); !ok {
			t.Fatal("root is bounded")
		}
	}
}

func TestUnits(t *testing.T) {
	for path, want := range map[string]Unit{
		"/user.slice/user-1000.slice/session-3.scope":                                    {Kind: SessionScope, UID: 1000, Session: "3"},
		"/user.slice/user-1000.slice/session-c2.scope/x":                                 {Kind: SessionScope, UID: 1000, Session: "c2"},
		"/user.slice/user-1000.slice/user@1000.service":                                  {Kind: UserManager, UID: 1000},
		"/user.slice/user-1000.slice/user@1000.service/app.slice/session-9.scope":        {Kind: UserManager, UID: 1000},
		"/user.slice/user-1000.slice/user@1001.service":                                  {},
		"/user.slice/user-1000.slice/ninefold-manager-1000-ab.service/init.scope":        {Kind: ViewManager, UID: 1000, View: "1000-ab"},
		"/user.slice/user-1000.slice/ninefold-manager-.service":                          {},
		"/user.slice/user-1000.slice/user@1000.service/ninefold-manager-1000-ab.service": {Kind: UserManager, UID: 1000},
		"/user.slice/user-01000.slice/session-3.scope":                                   {},
		"/system.slice/user-1000.slice/session-3.scope":                                  {},
		"/system.slice/x.service/user.slice/user-1000.slice/session-3.scope":             {},
		"/user.slice/user-1000.slice/session-.scope":                                     {},
		"/../user.slice/user-1000.slice/session-3.scope":                                 {},
		"/": {}, "": {},
	} {
		if got := parseUnit(path); got != want {
			t.Errorf("%q: got %+v", path, got)
		}
	}
}

// TestSoak: a daemon that answers ten thousand logins is as large as before.
// The short run takes a part of them.
func TestSoak(t *testing.T) {
	path := serve(t, &echo{})
	rounds := 10000
	if testing.Short() {
		rounds = 1000
	}
	bad, err := Request{Op: Session, User: "x"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	bad[16+100] = 1
	one := func(i int) {
		switch i % 4 {
		case 0:
			c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
			if err == nil {
				_, _ = c.Write([]byte(strings.Repeat("x", i%2000))) // the other side may be gone
				c.Close()
			}
		case 1:
			c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
			if err == nil {
				_, _ = c.Write(bad)
				c.Close()
			}
		default:
			if _, files, err := Ask(path, Request{Op: Session, UID: uint32(i), User: "mia"}); err != nil {
				if os.Getuid() == 0 {
					t.Errorf("round %d: %v", i, err)
				}
			} else {
				files[0].Close()
			}
		}
	}
	one(2)
	before := openFiles(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < rounds; i += 8 {
				one(i)
			}
		})
	}
	wg.Wait()
	waitForFiles(t, before)
}

// waitForFiles waits until no more than before descriptors are open: the server
// closes its side after it has answered.
func waitForFiles(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); openFiles(t) > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d files were open before, %d are now", before, openFiles(t))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestAProcessThatStartedLaterIsNotTheCaller(t *testing.T) {
	fds, err := syscall.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if _, err := peerOf(fds[0], bootTime()); err != nil {
		t.Error(err)
	}
	if _, err := peerOf(fds[0], 0); err == nil {
		t.Error("a connection accepted before its caller started was believed")
	}
}
