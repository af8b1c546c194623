package namespaces_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
)

// What is lent is seen in the session alone, is not written to, and answers.
func TestLend(t *testing.T) {
	const uid, target = 12345, "/tmp/.X11-unix/X7"
	p := hostPlan(t, plan.Namespaces{PID: true, IPC: true, Net: plan.NetNone, User: plan.UserMapped}, uid)
	s, err := namespaces.Start(context.Background(), p, namespaces.Command{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	name := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	source := os.NewFile(uintptr(fd), name)
	defer source.Close()
	if err := s.Lend(source, target); err != nil {
		t.Fatal(err)
	}
	const content = "\x00\xff\nbinary"
	if err := s.Write(plan.File{Path: "/run/ninefold/cookie", Mode: 0o400, UID: uid, GID: uid, Content: content}); err != nil {
		t.Fatal(err)
	}

	root := "/proc/" + strconv.Itoa(s.PID()) + "/root"
	if got, err := os.ReadFile(root + "/run/ninefold/cookie"); err != nil || string(got) != content {
		t.Errorf("the file holds %q, %v", got, err)
	}
	c, err := net.Dial("unix", root+target)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := os.Chmod(root+target, 0o777); !errors.Is(err, unix.EROFS) {
		t.Errorf("the socket's mode can be changed: %v", err)
	}
	for _, path := range []string{target, "/run/ninefold/cookie"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is on the host", path)
		}
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	in, err := s.Enter(namespaces.Command{Argv: []string{"/bin/sh", "-c", "cd /run/ninefold && stat -c %a:%u cookie " + target + " && cmp -s cookie cookie && echo read; rm -f " + target + " cookie 2>/dev/null; ls cookie " + target}, Stdout: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Wait(); err != nil {
		t.Error(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	want := "400:12345\n" + strconv.FormatUint(uint64(st.Mode&0o7777), 8) + ":0\nread\n" + target + "\ncookie\n"
	if string(said) != want {
		t.Errorf("inside it is\n%s and not\n%s", said, want)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Lend(source, target); err == nil {
		t.Error("something was lent to a session that has ended")
	}
}
