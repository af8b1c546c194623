package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"ninefold/sessiond/broker/wire"
	"ninefold/tests/machine"
)

const (
	hostRounds  = 15
	hostCalls   = 20 // of one round, so that the way into the machine does not count
	hostBytes   = 1 << 30
	hostFlood   = 500
	residentEnv = "NINEFOLD_BENCH_RESIDENT"
	hostPolicy  = "ninefold 1\nallow user * profile * as * run * ...\n"
)

// onHost measures commands on the host beside systemd-run on a booted machine.
func (b *bench) onHost(ctx context.Context) error {
	top, err := os.Getwd()
	if err != nil {
		return err
	}
	for _, suite := range machine.Suites {
		if err := b.hostOn(ctx, suite, top); err != nil {
			return fmt.Errorf("%s: %w", suite, err)
		}
	}
	return nil
}

func (b *bench) hostOn(ctx context.Context, suite, top string) error {
	m, err := machine.Start(ctx, suite, machine.Options{})
	if err != nil {
		return err
	}
	defer m.Close()
	self, err := os.Executable()
	if err == nil {
		err = errors.Join(m.Install(ctx, top), m.CopyIn(ctx, self, "/usr/local/bin/bench", 0o755), m.Write(ctx, "/etc/ninefold/host.policy", hostPolicy))
	}
	if err != nil {
		return err
	}
	if err := wait(ctx, "the policy to be in force", func() bool { return m.Run(ctx, "sessionctl", "host", "true").OK() }); err != nil {
		return err
	}
	b.table.section("commands on the host of a booted Debian " + suite + ", beside systemd-run --wait --pipe")
	results, failed := interleave(ctx, hostRounds, []contender{
		repeated("systemd-run", m, "systemd-run --wait --pipe --quiet true"),
		repeated("sessionctl host", m, "sessionctl host true"),
		resident("resident", m),
	})
	for name, err := range failed {
		return fmt.Errorf("%s: %w", name, err)
	}
	theirs := results["systemd-run"]
	for _, r := range []struct {
		name, what string
		most       float64
	}{{"sessionctl host", "sessionctl host true", 0.6}, {"resident", "a caller that asks the broker itself", 0.45}} {
		ours := results[r.name]
		q := ratio(ours.median, theirs.median)
		b.table.add(row{what: r.what, value: fmt.Sprintf("%.1f : %.1f ms", ms(ours.median), ms(theirs.median)), ratio: fmt.Sprintf("%5.2f", q),
			target: fmt.Sprintf("<= %.2f", r.most), met: q <= r.most})
	}
	return errors.Join(b.through(ctx, m), b.flood(ctx, m))
}

// repeated runs a command hostCalls times in a row.
func repeated(name string, m *machine.Machine, command string) contender {
	loop := fmt.Sprintf("for i in $(seq %d); do %s </dev/null >/dev/null || exit 1; done", hostCalls, command)
	return contender{name, func(ctx context.Context) (time.Duration, error) { return inShell(ctx, m, loop, hostCalls) }}
}

// inShell times a line of shell in the machine by the machine's own clock.
func inShell(ctx context.Context, m *machine.Machine, line string, n int64) (time.Duration, error) {
	r := m.Run(ctx, "bash", "-c", "a=$(date +%s%N); { "+line+"; } || exit 1; echo $(($(date +%s%N)-a))")
	if !r.OK() {
		return 0, errors.New(r.String())
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(r.Stdout), 10, 64)
	return time.Duration(ns / n), err
}

// resident has a program that is there already ask for hostCalls commands.
func resident(name string, m *machine.Machine) contender {
	return contender{name, func(ctx context.Context) (time.Duration, error) {
		r := m.Run(ctx, "env", residentEnv+"="+strconv.Itoa(hostCalls), "/usr/local/bin/bench")
		if !r.OK() {
			return 0, errors.New(r.String())
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(r.Stdout), 10, 64)
		return time.Duration(ns), err
	}}
}

// askBroker is the resident program: it prints the nanoseconds of one command.
func askBroker(calls string) error {
	n, err := strconv.Atoi(calls)
	if err != nil {
		return err
	}
	began := time.Now()
	for range n {
		if err := askOnce(); err != nil {
			return err
		}
	}
	fmt.Println(int64(time.Since(began)) / int64(n))
	return nil
}

func askOnce() error {
	c, err := wire.Dial(wire.Path)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SendRequest(&wire.Request{Argv: []string{"true"}}, nil); err != nil {
		return err
	}
	for {
		f, _, err := c.Receive(nil)
		if err != nil {
			return err
		}
		v, err := wire.DecodeEvent(f.Kind, f.Payload)
		switch {
		case err != nil:
			return err
		case v.Kind == wire.Ended && v.Code+v.Number == 0:
			return nil
		case v.Kind == wire.Ended || v.Kind == wire.Refused:
			return fmt.Errorf("true ended with %+v", v)
		}
	}
}

// through sends a GiB through a command's own streams, and through a pipe.
func (b *bench) through(ctx context.Context, m *machine.Machine) error {
	source := fmt.Sprintf("head -c %d /dev/zero", hostBytes)
	line := func(name, sink string) contender {
		return contender{name, func(ctx context.Context) (time.Duration, error) {
			return inShell(ctx, m, source+" | "+sink+" >/dev/null", 1)
		}}
	}
	results, failed := interleave(ctx, 5, []contender{line("pipe", "cat"), line("host", "sessionctl host cat")})
	for name, err := range failed {
		return fmt.Errorf("%s: %w", name, err)
	}
	q := ratio(results["host"].median, results["pipe"].median)
	b.table.add(row{what: "1 GiB through sessionctl host cat, and through cat", value: fmt.Sprintf("%.0f : %.0f ms", ms(results["host"].median), ms(results["pipe"].median)),
		ratio: fmt.Sprintf("%5.2f", q), target: "<= 1.25", met: q <= 1.25})
	return nil
}

// flood has one session start hundreds of commands at once, and another one of
// another user look how long its own take meanwhile.
func (b *bench) flood(ctx context.Context, m *machine.Machine) error {
	alone, err := inShell(ctx, m, "su carol -c 'for i in $(seq 10); do sessionctl host true || exit 1; done'", 10)
	if err != nil {
		return err
	}
	const lost = `for i in $(seq %d); do sessionctl host sh -c "exit $((i %% 100))" </dev/null & p="$p $!"; done
		i=0; n=0; for x in $p; do i=$((i+1)); wait $x; [ $? = $((i %% 100)) ] || n=$((n+1)); done; echo $n`
	ended := make(chan error, 1)
	go func() {
		began := time.Now()
		r := m.Run(ctx, "su", "alice", "-s", "/bin/bash", "-c", fmt.Sprintf(lost, hostFlood))
		wrong := strings.TrimSpace(r.Stdout)
		b.table.add(row{what: fmt.Sprintf("%d commands at once of one user", hostFlood), value: fmt.Sprintf("%.1f s, %s lost", time.Since(began).Seconds(), wrong),
			target: "none lost", met: wrong == "0"})
		ended <- r.Err
	}()
	time.Sleep(300 * time.Millisecond)
	beside, err := inShell(ctx, m, "su carol -c 'for i in $(seq 10); do sessionctl host true || exit 1; done'", 10)
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	b.table.note("a command of another user takes %.0f ms alone, and %.0f ms beside that flood, in which every process of the machine has two cores to share", ms(alone), ms(beside))
	return nil
}

// asked reports whether this process is the resident program of a machine.
func asked(w io.Writer) (code int, ok bool) {
	calls := os.Getenv(residentEnv)
	if calls == "" {
		return 0, false
	}
	if err := askBroker(calls); err != nil {
		fmt.Fprintln(w, "bench:", err)
		return 1, true
	}
	return 0, true
}
