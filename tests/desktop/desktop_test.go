// Package desktop proves that a whole desktop from Debian's packages runs in a
// session: its windows appear, a terminal opened in it takes keys, and every
// process of it has the session's root and not the machine's.
//
// It builds the image "desktop" with the programs in bin/ (network, minutes)
// unless NINEFOLD_TEST_STATE names a state directory that holds it.
package desktop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

// sessionctl is the built program with the configuration of this checkout.
func sessionctl(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(top, "bin/sessionctl")
	if _, err := os.Stat(program); err != nil {
		needs.Lacks(t, "the programs are not built: make build")
	}
	state := os.Getenv("NINEFOLD_TEST_STATE")
	if state == "" {
		state = filepath.Join(t.TempDir(), "state")
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"--config", top, "--state", state}, args...)...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func TestDesktopInASession(t *testing.T) {
	if os.Geteuid() != 0 {
		needs.Lacks(t, "sessions need root")
	}
	if testing.Short() && os.Getenv("NINEFOLD_TEST_STATE") == "" {
		needs.Lacks(t, "this builds an image over the network, which -short leaves out")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	build := sessionctl(ctx, t, "image", "build", "desktop")
	state := build.Args[4]
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("image build desktop: %v\n%s", err, out)
	}
	script, err := os.ReadFile("../../scripts/desktop")
	if err != nil {
		t.Fatal(err)
	}

	// The script ends when its standard input does, and the session with it.
	t.Setenv("NINEFOLD_TEST_STATE", state)
	run := sessionctl(ctx, t, "run", "desktop", "--", "/bin/sh", "-c", string(script), "desktop", "hold")
	stdin, err := run.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var picture bytes.Buffer
	run.Stdout = &picture
	before := mountinfo(t)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	said, rest := untilPictured(stderr)
	drained := make(chan struct{})
	go func() { io.Copy(io.Discard, rest); close(drained) }()
	ended := func() error { stdin.Close(); <-drained; return run.Wait() }
	if said.terminal == "" {
		t.Fatalf("the desktop did not get as far as its picture (%v):\n%s", ended(), said.text)
	}
	for _, w := range []string{"file manager", "terminal"} {
		if !strings.Contains(said.text, "window of the "+w) {
			t.Errorf("no window of the %s:\n%s", w, said.text)
		}
	}
	if got := mountinfo(t); got != before {
		t.Errorf("the host's mount table changed while the desktop ran:\n%s", got)
	}
	everyProcess(t, run.Process.Pid)

	if err := ended(); err != nil {
		t.Errorf("end of the session: %v\n%s", err, said.text)
	}
	img, err := png.Decode(&picture)
	if err != nil {
		t.Fatalf("the picture: %v", err)
	}
	colours := map[string]bool{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 4 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 4 {
			colours[fmt.Sprint(img.At(x, y))] = true
		}
	}
	if len(colours) < 20 {
		t.Errorf("the picture has %d colours: nothing was drawn", len(colours))
	}
}

// everyProcess checks from outside, in /proc, that each process of the session
// has a root that is not the machine's, and that it is the same one.
func everyProcess(t *testing.T, launcher int) {
	t.Helper()
	host, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]bool{}
	roots := map[string]bool{}
	for _, pid := range descendants(t, launcher) {
		dir := fmt.Sprint("/proc/", pid)
		name, err := os.ReadFile(dir + "/comm")
		if err != nil {
			continue // gone since
		}
		ns, err := os.Readlink(dir + "/ns/mnt")
		if err != nil {
			continue
		}
		if ns == host {
			t.Errorf("%s (%d) is in the machine's mount namespace", bytes.TrimSpace(name), pid)
		}
		var root unix.Stat_t
		if err := unix.Stat(dir+"/root/.", &root); err == nil {
			roots[fmt.Sprint(ns, root.Dev, root.Ino)] = true
		}
		release, err := os.ReadFile(dir + "/root/etc/os-release")
		if err != nil || !bytes.Contains(release, []byte("trixie")) {
			t.Errorf("%s (%d) does not see the image's /etc/os-release: %s %v", bytes.TrimSpace(name), pid, release, err)
		}
		programs[string(bytes.TrimSpace(name))] = true
	}
	if len(roots) != 1 {
		t.Errorf("the processes of the session have %d different roots: %v", len(roots), roots)
	}
	for _, p := range []string{"Xvfb", "openbox", "pcmanfm", "xterm"} {
		if !programs[p] {
			t.Errorf("no process called %s among %v", p, programs)
		}
	}
}

// descendants are the processes below pid, itself not included.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	children := map[int][]int{}
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range dirs {
		data, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		var id, parent int
		var state string
		// The name in parentheses may hold anything.
		if _, err := fmt.Sscanf(string(data[bytes.LastIndexByte(data, ')')+1:]), "%s %d", &state, &parent); err != nil {
			continue
		}
		fmt.Sscan(filepath.Base(filepath.Dir(f)), &id)
		children[parent] = append(children[parent], id)
	}
	var out []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		out = append(out, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return out
}

func mountinfo(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// saying is what the script wrote before its picture was taken.
type saying struct{ text, terminal string }

func untilPictured(r io.Reader) (s saying, rest io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		s.text += line
		if _, after, ok := strings.Cut(line, "the terminal is process "); ok {
			s.terminal = strings.TrimSpace(after)
			return s, lines
		}
		if err != nil {
			return s, lines
		}
	}
}
