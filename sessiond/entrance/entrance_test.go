package entrance

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

const hello = "9fguest1A-ninefold-guest\x00ATERM\x00ETERM=xterm\x00ELD_PRELOAD=/tmp/x\x00EPATH=/tmp\x00ELC_ALL=C.UTF-8\x00EDISPLAY=:0\x00ELANG=a\x1bb\x00"

func TestWhatAGuestBrings(t *testing.T) {
	got, err := ParseHello([]byte(hello))
	want := Hello{Argv: []string{"-ninefold-guest", "TERM"}, Environment: []string{"TERM=xterm", "LC_ALL=C.UTF-8", "DISPLAY=:0"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "9fguest2", "9fguest1A", "9fguest1AX", "9fguest1\x00", "9fguest1ZX\x00", "9fguest1" + strings.Repeat("AX\x00", 3000)} {
		if got, err := ParseHello([]byte(bad)); !errors.Is(err, errHello) {
			t.Errorf("%.40q: %v, %v", bad, got, err)
		}
	}
}

func FuzzParseHello(f *testing.F) {
	f.Add([]byte(hello))
	f.Add([]byte("9fguest1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHello(b)
		if err != nil && (h.Argv != nil || h.Environment != nil) {
			t.Errorf("an error and %v", h)
		}
		for _, e := range h.Environment {
			if !mayBring(e) {
				t.Errorf("%q came in", e)
			}
		}
	})
}

// TestOneGuestComesIn has strangers and the guest come to a keeper's entrance.
func TestOneGuestComesIn(t *testing.T) {
	needs.Root(t)
	dir, err := os.MkdirTemp("", "entrance") // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "61200")
	entrance, err := Open(name, 61200)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o666); err != nil { // so that strangers get as far as they can
		t.Fatal(err)
	}
	come := func(uid int, text string, files ...int) string { return visit(t, name, uid, text, files) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	came := make(chan *Visitor, 1)
	go func() {
		v, err := entrance.Wait(ctx)
		if err != nil {
			t.Error(err)
		}
		came <- v
	}()
	for what, said := range map[string]string{
		"root":              come(0, "9fguest1Ash\x00", 0, 1, 2),
		"another":           come(61201, "9fguest1Ash\x00", 0, 1, 2),
		"one without files": come(61200, "9fguest1Ash\x00", 0),
		"one who lies":      come(61200, "9fguest1Q", 0, 1, 2),
	} {
		if said != "" {
			t.Errorf("%s was not sent away: %s", what, said)
		}
	}
	told := make(chan string, 1)
	go func() { told <- come(61200, "9fguest1Ash\x00", 0, 1, 2) }()
	v := <-came
	if v == nil {
		t.Fatal("the guest did not come in")
	}
	v.Leave(7)
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if said := <-told; said != "X\x07\x00\x00\x00" {
		t.Errorf("the guest was told %q", said)
	}
	if _, err := os.Lstat(name); err == nil || come(61200, "9fguest1Ash\x00", 0, 1, 2) != unix.ENOENT.Error() {
		t.Error("somebody could come after the guest")
	}
}

// visit connects as uid, says text with files, and returns what comes back, or why
// it was not let in.
func visit(t *testing.T, name string, uid int, text string, files []int) string {
	said := make(chan string)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine, whose uid it has
		fail := func(err error) {
			if errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
				said <- "" // hung up without a word
				return
			}
			said <- err.Error()
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			fail(errno)
			return
		}
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			fail(err)
			return
		}
		defer unix.Close(s)
		if err := unix.Connect(s, &unix.SockaddrUnix{Name: name}); err != nil {
			fail(err)
			return
		}
		if err := unix.Sendmsg(s, []byte(text), unix.UnixRights(files...), nil, unix.MSG_NOSIGNAL); err != nil {
			fail(err)
			return
		}
		b := make([]byte, 100)
		n, err := unix.Read(s, b)
		if err != nil {
			fail(err)
			return
		}
		said <- string(b[:n])
	}()
	select {
	case s := <-said:
		return s
	case <-time.After(time.Minute):
		t.Fatal("nobody answered")
		return ""
	}
}
