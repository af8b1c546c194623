package attack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
)

// The bounds of the guest that throws bombs.
const (
	bombTasks  = 80
	bombMemory = 96 << 20
	bombSize   = 8 << 20
)

// bombs take what they can of the machine until they are ended, and say once what bounded
// them. Those that no bound of a plan meets say that they go on.
var bombs = []struct {
	name    string
	limit   string // the cgroup limit that bounds it, if one does
	throw   func(say func(format string, args ...any)) error
	bounded string
	shared  bool // nothing of a plan bounds it, but that it is one of many
}{
	{"fork", "tasks", forkForever, "resource temporarily unavailable", false},
	{"memory", "memory", eatMemory, "killed", false},
	{"disk", "", fillMemory, "no space left", false},
	{"cpu", "", spin, "spinning", true},
	{"io", "", readAll, "reading", true},
}

func bomb(args []string) error {
	var once string
	for _, b := range bombs {
		if b.name == args[0] {
			return b.throw(func(format string, args ...any) {
				if text := fmt.Sprintf(format, args...); text != once {
					once = text
					fmt.Println(text)
				}
			})
		}
	}
	return errors.New("no such bomb")
}

func forkForever(say func(string, ...any)) error {
	for n := 0; ; {
		_, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{})
		if err == nil {
			if n++; n > bombTasks {
				return fmt.Errorf("%d processes", n)
			}
			continue
		}
		say("%v", err)
	}
}

func eatMemory(say func(string, ...any)) error {
	for {
		cmd := exec.Command(guestBin+"/attacker", "try", "eat")
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return fmt.Errorf("more than %d bytes: %w", bombMemory, err)
		}
		say("%v", err)
	}
}

// eat touches more memory than there is to be had.
func eat([]string) error {
	b, err := unix.Mmap(-1, 0, 2*bombMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	for i := 0; err == nil && i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	return err
}

func fillMemory(say func(string, ...any)) error {
	block := make([]byte, 1<<20)
	for i := 0; ; i++ {
		f, err := os.Create(fmt.Sprintf("/tmp/%d", i%3))
		if err != nil {
			return err
		}
		for n := 0; err == nil; n += len(block) {
			if n > 2*bombSize {
				return fmt.Errorf("more than %d bytes", n)
			}
			_, err = f.Write(block)
		}
		f.Close()
		say("%v", errors.Unwrap(err))
	}
}

func spin(say func(string, ...any)) error {
	say("spinning")
	for range 4 * runtime.NumCPU() {
		go func() {
			for n := 1; n != 0; n |= 1 {
			}
		}()
	}
	time.Sleep(time.Hour)
	return nil
}

// readAll reads the machine's programs from its disk, over and over.
func readAll(say func(string, ...any)) error {
	say("reading")
	block := make([]byte, 1<<20)
	for {
		_ = filepath.WalkDir("/usr", func(name string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil
			}
			f, err := os.Open(name)
			if err != nil {
				return nil
			}
			defer f.Close()
			_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
			for err == nil {
				_, err = f.Read(block)
			}
			return nil
		})
	}
}

// login is how long somebody else waits for a shell.
func login(t *testing.T) time.Duration {
	t.Helper()
	begun := time.Now()
	if out, err := exec.Command("su", "-l", "-s", "/bin/sh", "nobody", "-c", "true").CombinedOutput(); err != nil {
		t.Fatalf("nobody else can log in: %v\n%s", err, out)
	}
	return time.Since(begun)
}

// median is that of times.
func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// TestGuestBombs has a guest take what it can get. It is bounded, others log in meanwhile, and
// when it is ended nothing of it is left.
func TestGuestBombs(t *testing.T) {
	text := fmt.Sprintf("namespace = \"bind -r %s %s\"\n[keep]\nsize = \"%d\"\n[isolation]\nuser = \"dynamic\"\n[limits]\n", bin, guestBin, bombSize)
	for _, b := range bombs {
		if b.limit != "" && namespaces.CanLimit(b.limit) {
			text += b.limit + " = " + map[string]string{"tasks": fmt.Sprint(bombTasks), "memory": fmt.Sprintf("%q", fmt.Sprint(bombMemory))}[b.limit] + "\n"
		}
	}
	p := profile{"bombed", text, 0}
	if err := p.write(); err != nil {
		t.Fatal(err)
	}
	for _, b := range bombs {
		if b.shared && testing.Short() {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			if b.limit != "" && !namespaces.CanLimit(b.limit) {
				t.Logf("no bound without cgroup controllers: %s", b.limit)
				return
			}
			rounds := 3
			if n, err := strconv.Atoi(os.Getenv("NINEFOLD_ROUNDS")); err == nil && n > 0 {
				rounds = n // make bench, which measures it
			} else if testing.Short() {
				rounds = 1 // in an emulated machine, where a login takes seconds
			}
			var alone, beside []time.Duration
			for range rounds {
				alone = append(alone, login(t))
				beside = append(beside, loginBeside(t, p.name, b.name, b.bounded))
			}
			usual, then := median(alone), median(beside)
			t.Logf("bombs: %s %d %d %.2f", b.name, then.Microseconds(), usual.Microseconds(), float64(then)/float64(usual))
		})
	}
}

// loginBeside is how long somebody else waits for a shell while a guest throws a bomb.
func loginBeside(t *testing.T, profile, bomb, bounded string) time.Duration {
	t.Helper()
	cmd := sessionctl("run", profile, "--", guestBin+"/attacker", "try", "bomb", bomb)
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = os.Stderr
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	// Of those in the session the kernel may kill the one that would have said it.
	if whole := errors.Is(err, io.EOF) && bomb == "memory"; !whole && (err != nil || !strings.Contains(said, bounded)) {
		t.Errorf("it is not bounded: %v: %s", err, said)
	}
	took := login(t)
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	eventually(t, "processes of the bomb are gone", func() bool { return len(commands(t, "bomb\x00"+bomb)) == 0 })
	return took
}

// commands are the processes with arguments of an attacker's.
func commands(t *testing.T, args string) (found []string) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if b, err := os.ReadFile(n); err == nil && strings.HasSuffix(string(b), "\x00try\x00"+args+"\x00") {
			found = append(found, n)
		}
	}
	return found
}
