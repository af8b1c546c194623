package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// bench is what the parts of a run share.
type bench struct {
	dir    string // scratch, on a disk; gone at the end
	cache  string // what is worth keeping between runs
	bin    string // the programs under test
	floor  string // the compiled floor/floor.c
	rounds int
	long   bool
	table  table
}

// insideEnv marks the copy of the bench that runs in its own mount namespace.
const insideEnv = "NINEFOLD_BENCH_INSIDE"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	if code, ok := asked(os.Stderr); ok {
		return code
	}
	b := &bench{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&b.long, "long", false, "also build, push and pull whole images, beside mmdebstrap, podman and skopeo (over the network; many minutes)")
	flags.IntVar(&b.rounds, "rounds", 60, "interleaved rounds of the session rows")
	flags.StringVar(&b.cache, "cache", "out/bench-cache", "where fetched and generated things are kept between runs")
	flags.StringVar(&b.bin, "bin", "bin", "where the built programs are")
	flags.StringVar(&b.floor, "floor", "out/floor", "the compiled floor/floor.c")
	only := flags.String("only", "", "run only the groups whose name contains this: sessions, held, guests, images, exports, logins, host, contexts, build, registry, bombs")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "bench: sessions need root: use make bench, which asks sudo")
		return 1
	}
	if os.Getenv(insideEnv) == "" {
		return inside(ctx)
	}
	if err := b.all(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func (b *bench) all(ctx context.Context, only string) (err error) {
	for _, p := range []*string{&b.bin, &b.floor, &b.cache} {
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return err
	}
	// Not /tmp: the uppers and stores of the bench belong on a disk.
	if b.dir, err = os.MkdirTemp("/var/tmp", "ninefold-bench-"); err != nil {
		return err
	}
	// Every mount that the bench makes is in a namespace of a child or of a
	// thread, so nothing live lies below the directory.
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()

	// Sessions trust only what root owns, and the checkout may be a person's.
	own := filepath.Join(b.dir, "bin")
	if err := os.CopyFS(own, os.DirFS(b.bin)); err != nil {
		return fmt.Errorf("copy the programs: %w: make build builds them", err)
	}
	b.bin = own
	groups := []struct {
		name string
		run  func(context.Context) error
		long bool
	}{
		{"sessions", b.sessions, false},
		{"held", b.held, false},
		{"guests", b.guests, false},
		{"images", b.images, false}, {"images of a family", b.families, false}, {"images that travel", b.sharing, false},
		{"exports", b.exports, false},
		{"logins", b.logins, false},
		{"host", b.onHost, false},
		{"contexts", b.contexts, false}, {"contexts that are rebased", b.rebase, false},
		{"bombs", b.bombs, true},
		{"build", b.build, true},
		{"registry", b.registries, true},
	}
	for _, g := range groups {
		if !strings.Contains(g.name, only) || g.long && !b.long && only != g.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", g.name)
		if err := g.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	b.table.print(os.Stdout)
	return nil
}

// inside runs this program again in a mount namespace and a cgroup of its own,
// so that whatever a tool mounts or forgets is out of the host's sight.
func inside(ctx context.Context) int {
	leave, err := enterCgroup()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	defer leave()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// With Unshareflags the mounts of the child are made private too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: start in a mount namespace of its own:", err)
		return 1
	}
	done := context.AfterFunc(ctx, func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer done()
	if err := cmd.Wait(); err != nil {
		return 1
	}
	return 0
}
