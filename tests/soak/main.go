// Soak makes, kills and undoes sessions and images for a given time, and fails
// when anything is left behind: a mount, a process, a cgroup, a loop device, a
// temporary directory. It runs as root on the built programs: make soak.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"ninefold/tests/machine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	if len(args) > 0 && inMachine[args[0]] != nil {
		if err := inMachine[args[0]](ctx, args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, args[0]+":", err)
			return 1
		}
		return 0
	}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	length := flags.Duration("for", 30*time.Minute, "how long")
	every := flags.Duration("check", 10*time.Second, "how often everything stops and is looked at")
	host := flags.Int("host", 0, "then run that many commands on the host of a booted machine")
	door := flags.Int("door", 0, "then make that many connections to the door of a booted machine of each release")
	logins := flags.Int("logins", 0, "then log in that many times to each of them")
	guests := flags.Int("guests", 0, "then have that many guests in on each, killed at any moment")
	guestLogins := flags.Int("guestlogins", 0, "then have that many guests log in in front of each, at the console and at greeters, killed at any moment")
	only := flags.String("suite", "", "the one release to boot (bookworm, trixie); else each, one after the other: the kernel counts keys of all machines on it by their ids alone")
	bin := flags.String("bin", "bin", "where the built programs are")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of the choices; printed, to repeat a run")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "soak: sessions need root: use make soak, which asks sudo")
		return 1
	}
	fmt.Printf("soak: %s, seed %d\n", *length, *seed)
	if err := soak(ctx, *bin, *length, *every, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "soak: FAILED:", err)
		return 1
	}
	if *host > 0 {
		if err := hostSoak(ctx, *host); err != nil {
			fmt.Fprintln(os.Stderr, "soak: FAILED:", err)
			return 1
		}
	}
	for _, suite := range machine.Suites {
		if *only != "" && suite != *only {
			continue
		}
		var err error
		if *door+*logins > 0 {
			err = loginSoaks(ctx, suite, *door, *logins)
		}
		if err == nil && *guests > 0 {
			err = guestSoak(ctx, suite, *guests)
		}
		if err == nil && *guestLogins > 0 {
			err = guestLoginSoak(ctx, suite, *guestLogins)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "soak: FAILED: %s: %v\n", suite, err)
			return 1
		}
	}
	return 0
}

func soak(ctx context.Context, bin string, length, every time.Duration, seed uint64) (err error) {
	w, err := newWorld(bin)
	if err != nil {
		return err
	}
	// Only when nothing is left over is it safe to remove, and only then is
	// there no need to look at it.
	defer func() {
		if err == nil {
			err = os.RemoveAll(w.dir)
		} else {
			err = fmt.Errorf("%w (what was found lies in %s)", err, w.dir)
		}
	}()
	before, err := look()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(length)
	total := map[string]int{}
	for round := uint64(0); time.Now().Before(deadline) && ctx.Err() == nil; round++ {
		until := time.Now().Add(min(every, time.Until(deadline)))
		counts, err := w.round(ctx, until, seed, round)
		for k, n := range counts {
			total[k] += n
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if err := w.clean(before); err != nil {
			return fmt.Errorf("after round %d: %w", round, err)
		}
		// Builds were killed at any moment: what is in the store is right all the same.
		if err := w.expect(ctx, 0, "image", "verify"); err != nil && ctx.Err() == nil {
			return fmt.Errorf("after round %d: %w", round, err)
		}
	}
	sum := 0
	for _, a := range actions {
		fmt.Printf("soak: %6d x %s\n", total[a.name], a.name)
		sum += total[a.name]
	}
	after, err := look()
	if err != nil {
		return err
	}
	fmt.Printf("soak: %d in all, nothing left; kernel memory (Slab) %+d KiB\n", sum, after.slabKiB-before.slabKiB)
	return nil
}

// round lets two workers act until the given time. It returns what was done,
// and the first surprise.
func (w *world) round(ctx context.Context, until time.Time, seed, round uint64) (map[string]int, error) {
	var mu sync.Mutex
	var errs []error
	counts := map[string]int{}
	var group sync.WaitGroup
	for worker := range uint64(2) {
		group.Go(func() {
			r := rand.New(rand.NewPCG(seed, round<<8|worker))
			for time.Now().Before(until) && ctx.Err() == nil {
				a := choose(r)
				err := a.do(ctx, w, r)
				mu.Lock()
				counts[a.name]++
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", a.name, err))
				}
				stop := len(errs) > 0
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	group.Wait()
	return counts, errors.Join(errs...)
}

// world is what the soak works in.
type world struct {
	dir           string
	sessionctl    string
	config, state string
}

const recipeText = `version = 1
name = "soak"
[source]
directory = %q
[finish]
steps = []
`

func newWorld(bin string) (*world, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/var/tmp", "ninefold-soak-")
	if err != nil {
		return nil, err
	}
	// Sessions trust only what root owns, and the checkout may be a person's.
	own := filepath.Join(dir, "bin")
	if err := os.CopyFS(own, os.DirFS(bin)); err != nil {
		return nil, fmt.Errorf("copy the programs: %w: make build builds them", err)
	}
	w := &world{dir, filepath.Join(own, "sessionctl"), filepath.Join(dir, "config"), filepath.Join(dir, "state")}
	tree := filepath.Join(dir, "tree")
	for _, d := range []string{filepath.Join(w.config, "recipes"), filepath.Join(w.config, "profiles"), w.state} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	for i := range 400 {
		d := filepath.Join(tree, "usr/share/soak", fmt.Sprint(i%20))
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(d, fmt.Sprint("file", i)), fmt.Appendf(nil, "content %d\n", i), 0o644); err != nil {
			return nil, err
		}
	}
	return w, os.WriteFile(filepath.Join(w.config, "recipes/soak.toml"), fmt.Appendf(nil, recipeText, tree), 0o644)
}
