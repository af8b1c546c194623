package attack

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	runtime.LockOSThread()
	return f()
}

// ofTheAttacker lists the processes of the attacker's uid on the machine.
func ofTheAttacker(t *testing.T) []string {
	t.Helper()
	return processesOf(t, attackerUID)
}

func processesOf(t *testing.T, uid int) []string {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err == nil && strings.Contains(string(b), fmt.Sprintf("\nUid:\t%d\t", uid)) && !strings.Contains(string(b), "\nState:\tZ") {
			name, _, _ := strings.Cut(string(b), "\n")
			left = append(left, filepath.Base(filepath.Dir(n))+" "+name)
		}
	}
	return left
}

// residue is what sessions could leave: mounts, loop devices in use, cgroups,
// and names in the state directory.
func residue(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	var state []string
	_ = filepath.WalkDir(dir+"/state", func(p string, _ os.DirEntry, err error) error {
		if filepath.Base(p) == "derived" {
			return filepath.SkipDir // kept decisions, for the next start; gc sweeps them
		}
		state = append(state, p)
		return err
	})
	return fmt.Sprintf("%s\n%d loop devices\n%s", mounts, len(loops), strings.Join(state, "\n"))
}

// TestKilledAtAnyMoment starts sessions and kills their keeper after a random
// time, from before the first mount to a running command.
// NINEFOLD_ATTACK_SESSIONS says how many (400).
func TestKilledAtAnyMoment(t *testing.T) {
	n := 400
	if s := os.Getenv("NINEFOLD_ATTACK_SESSIONS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	names := []string{"plain", "pid", "apart", "theirs", "limited"}
	before := residue(t)
	for i := range n {
		cmd := sessionctl("run", "--user", attacker, names[i%len(names)], "--", "sh", "-c", "sleep 100 & setsid sleep 100 & sleep 100")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int63n(int64(15 * time.Millisecond))))
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	}
	// The first processes take down what their keepers left.
	var left []string
	for range 500 {
		if left = ofTheAttacker(t); len(left) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(left) > 0 {
		t.Errorf("%d processes outlive their sessions: %v", len(left), left)
	}
	// The next session with limits sweeps what a killed builder left.
	if out, err := run(attacker, "limited", "true"); err != nil && !withoutLimits("limited", out) {
		t.Fatalf("%v\n%s", err, out)
	}
	if after := residue(t); after != before {
		t.Errorf("sessions left something behind:\n--- before\n%s\n--- after\n%s", before, after)
	}
}

// TestRunsAway has processes that fork and end without pause, so that none of
// them can be caught by its number; without a PID namespace the session's first
// process has to catch them all the same.
func TestRunsAway(t *testing.T) {
	for _, p := range []string{"plain", "pid", "limited"} {
		begun := time.Now()
		out, err := run(attacker, p, bin+"/attacker", "try", "runaway")
		if err != nil && !withoutLimits(p, out) {
			t.Errorf("%s: %v\n%s", p, err, out)
		}
		if left := ofTheAttacker(t); len(left) > 0 {
			t.Errorf("%s: outlive their session: %v", p, left)
			for range 10000 {
				for _, l := range ofTheAttacker(t) {
					pid, _ := strconv.Atoi(strings.Fields(l)[0])
					_ = unix.Kill(pid, unix.SIGKILL)
				}
				if len(ofTheAttacker(t)) == 0 {
					break
				}
			}
		}
		t.Logf("%s: over after %v", p, time.Since(begun).Round(time.Millisecond))
	}
}
