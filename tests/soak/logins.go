package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"ninefold/tests/machine"
)

const (
	// loginsAtOnce is what fits into the time of one command of the machine.
	loginsAtOnce = 120
	// loginsRound is after how many everybody logs out and what is left is counted.
	loginsRound = 960
	// rssGrowth is how much the daemon's memory may move between rounds, in KiB:
	// the Go runtime gives memory back when it likes.
	rssGrowth = 8 << 10
	// connections are those of the daemon to the bus: each is made when it is
	// first needed, and can be away at the moment.
	connections = 3
)

// loginSoaks boots a machine where people get a view by default, and soaks its
// door and its logins.
func loginSoaks(ctx context.Context, suite string, door, logins int) (err error) {
	top, err := os.Getwd()
	if err != nil {
		return err
	}
	m, err := machine.Start(ctx, suite, machine.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	err = errors.Join(m.Install(ctx, top),
		m.Write(ctx, "/etc/ninefold/profiles/soak.toml", "version = 1\nname = \"soak\"\nbase = \"host\"\n"),
		m.Write(ctx, "/etc/ninefold/ninefold.toml", "[login]\ndefault = \"soak\"\n"))
	if err != nil {
		return err
	}
	// Started anew, it has read them.
	if r := m.Run(ctx, "systemctl", "restart", "sessiond.service"); !r.OK() {
		return errors.New(r.String())
	}
	if door > 0 {
		err = doorSoak(ctx, m, door)
	}
	if err == nil && logins > 0 {
		err = loginSoak(ctx, m, logins)
	}
	return err
}

// loginSoak logs in n times, by three people at a time, and kills every tenth
// login on its way. Nothing may grow with the logins.
func loginSoak(ctx context.Context, m *machine.Machine, n int) error {
	const script = `for u in "$@"; do (for i in $(seq 40); do
		if [ $((i % 10)) = 0 ]; then
			timeout -s KILL 0.0$((RANDOM % 9 + 1)) setsid su -l $u -c 'sleep 60' >/dev/null 2>&1
		else
			su -l $u -c 'test "$NINEFOLD_PROFILE" = soak' 2>&1 || echo "$u is not in the view, $?"
		fi
	done) 2>/dev/null & done; wait; true`
	var first *grown
	round := max(1, min(loginsRound, n/2)/loginsAtOnce) // two rounds at least, to compare
	done := 0
	for done < n && ctx.Err() == nil {
		for range round {
			r := m.Run(ctx, append([]string{"bash", "-c", script, "soak"}, machine.People...)...)
			if !r.OK() || r.Stdout+r.Stderr != "" {
				return errors.New(r.String())
			}
			done += loginsAtOnce
		}
		now, err := loginsLeft(ctx, m)
		switch {
		case err != nil:
			return fmt.Errorf("after %d logins: %w", done, err)
		case first == nil:
			first = now
		case now.more(first):
			return fmt.Errorf("after %d logins there is %+v, and after the first %d there was %+v", done, *now, round*loginsAtOnce, *first)
		}
		fmt.Printf("soak: %6d x login, %+v\n", done, *now)
	}
	return ctx.Err()
}

// grown is what could grow with logins; the processes are the daemon's.
type grown struct{ descriptors, mounts, processes, rss int }

// more reports whether it has grown since.
func (g *grown) more(since *grown) bool {
	return g.descriptors > since.descriptors+connections || g.mounts != since.mounts || g.processes > since.processes || g.rss > since.rss+rssGrowth
}

// loginsLeft logs everybody out, waits until nothing of views is left, and counts.
func loginsLeft(ctx context.Context, m *machine.Machine) (*grown, error) {
	// A killed login that nothing runs in stays with the logind of Debian 12, also
	// where there is no Ninefold.
	const left = `systemctl list-units --all --plain --no-legend 'ninefold-view-*'
		ls /run/ninefold/state/views 2>/dev/null
		find /sys/fs/cgroup -type d -name 'ninefold-view-*'
		pgrep -x 'ninefold-(init|enter)'
		pgrep -u alice,bob,carol
		for s in $(loginctl list-sessions --no-legend | awk '$3 ~ /^(alice|bob|carol)$/ { print $1 }'); do
			find /sys/fs/cgroup -path "*/session-$s.scope*" -name cgroup.procs -exec cat {} + | grep -q . && echo "session $s"
		done; true`
	for _, user := range machine.People {
		m.Run(ctx, "loginctl", "terminate-user", user)
	}
	var last string
	for range 120 {
		r := m.Run(ctx, "bash", "-c", left)
		if !r.OK() {
			return nil, errors.New(r.String())
		}
		if last = strings.TrimSpace(r.Stdout); last == "" {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	if last != "" {
		return nil, fmt.Errorf("left is:\n%s", last)
	}
	return daemonNow(ctx, m)
}

// daemonNow counts what could grow.
func daemonNow(ctx context.Context, m *machine.Machine) (*grown, error) {
	const count = `d=$(systemctl show -P MainPID sessiond)
		echo $(ls /proc/$d/fd | wc -l) $(grep -cvE ' /run/(user|credentials)/' /proc/1/mountinfo) $(pgrep -c '^(sessiond|ninefold)') $(awk '/VmRSS/ { print $2 }' /proc/$d/status)`
	r := m.Run(ctx, "bash", "-c", count)
	var g grown
	if _, err := fmt.Sscan(r.Stdout, &g.descriptors, &g.mounts, &g.processes, &g.rss); err != nil {
		return nil, fmt.Errorf("%w: %s", err, r)
	}
	return &g, nil
}
