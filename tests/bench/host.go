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
	hostLoops   = 50
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

// flood has one user start hundreds of commands at once, and then dozens without
// a pause, while another one looks how long its own take.
func (b *bench) flood(ctx context.Context, m *machine.Machine) error {
	const lost = `for i in $(seq %d); do sessionctl host sh -c "exit $((i %% 100))" </dev/null & p="$p $!"; done
		i=0; n=0; for x in $p; do i=$((i+1)); wait $x; [ $? = $((i %% 100)) ] || n=$((n+1)); done; echo $n`
	began := time.Now()
	r := m.Run(ctx, "su", "alice", "-s", "/bin/bash", "-c", fmt.Sprintf(lost, hostFlood))
	if r.Err != nil {
		return r.Err
	}
	wrong := strings.TrimSpace(r.Stdout)
	b.table.add(row{what: fmt.Sprintf("%d commands at once of one user", hostFlood), value: fmt.Sprintf("%.1f s, %s lost", time.Since(began).Seconds(), wrong),
		target: "none lost", met: wrong == "0"})

	alone, err := ofCarol(ctx, m)
	if err != nil {
		return err
	}
	// Each of them goes on until the file is gone.
	const loops = `for i in $(seq %d); do while [ -e /tmp/flood ]; do sessionctl host true </dev/null || exit 1; done & p="$p $!"; done
		for x in $p; do wait $x || exit 1; done`
	if err := m.Write(ctx, "/tmp/flood", ""); err != nil {
		return err
	}
	ended := make(chan machine.Result, 1)
	go func() { ended <- m.Run(ctx, "su", "alice", "-s", "/bin/bash", "-c", fmt.Sprintf(loops, hostLoops)) }()
	err = wait(ctx, "the flood to run", func() bool {
		return m.Run(ctx, "bash", "-c", fmt.Sprintf("[ $(pgrep --count --uid alice --exact sessionctl) -ge %d ]", hostLoops/2)).OK()
	})
	var beside time.Duration
	if err == nil {
		beside, err = ofCarol(ctx, m)
	}
	gone := m.Run(ctx, "rm", "/tmp/flood")
	if r := <-ended; err == nil && !r.OK() {
		err = errors.New(r.String())
	}
	if err := errors.Join(err, gone.Err); err != nil {
		return err
	}
	q := ratio(beside, alone)
	b.table.add(row{what: fmt.Sprintf("a user's command beside %d loops of another one's, and alone", hostLoops),
		value: fmt.Sprintf("%.1f : %.1f ms", ms(beside), ms(alone)), ratio: fmt.Sprintf("%5.2f", q), target: "<= 2.00", met: q <= 2})
	return nil
}

// ofCarol is how long a command of carol's takes, by the median.
func ofCarol(ctx context.Context, m *machine.Machine) (time.Duration, error) {
	results, failed := interleave(ctx, hostRounds, []contender{
		{"carol", func(ctx context.Context) (time.Duration, error) {
			return inShell(ctx, m, "su carol -c 'for i in $(seq 10); do sessionctl host true </dev/null || exit 1; done'", 10)
		}},
	})
	return results["carol"].median, failed["carol"]
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
