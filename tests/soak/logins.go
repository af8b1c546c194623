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
)

// loginSoak logs in n times to a booted machine, by three people at a time, and
// kills every tenth login on its way. Nothing may grow with the logins.
func loginSoak(ctx context.Context, n int) (err error) {
	top, err := os.Getwd()
	if err != nil {
		return err
	}
	m, err := machine.Start(ctx, "trixie", machine.Options{})
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
	time.Sleep(time.Second) // until the configuration is in force
	const script = `for u in "$@"; do (for i in $(seq 40); do
		if [ $((i % 10)) = 0 ]; then
			timeout -s KILL 0.0$((RANDOM % 9 + 1)) setsid su -l $u -c 'sleep 60' >/dev/null 2>&1
		else
			su -l $u -c 'test "$NINEFOLD_PROFILE" = soak' 2>&1 || echo "$u is not in the view, $?"
		fi
	done) 2>/dev/null & done; wait; true`
	var first *grown
	done := 0
	for done < n && ctx.Err() == nil {
		for range loginsRound / loginsAtOnce {
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
		case now.descriptors != first.descriptors || now.mounts != first.mounts || now.processes > first.processes || now.rss > first.rss+rssGrowth:
			return fmt.Errorf("after %d logins there is %+v, and after the first %d there was %+v", done, *now, loginsRound, *first)
		}
		fmt.Printf("soak: %6d x login, %+v\n", done, *now)
	}
	return ctx.Err()
}

// grown is what could grow with logins.
type grown struct{ descriptors, mounts, processes, rss int }

// loginsLeft logs everybody out, waits until nothing of views is left, and counts.
func loginsLeft(ctx context.Context, m *machine.Machine) (*grown, error) {
	const left = `systemctl list-units --all --plain --no-legend 'ninefold-view-*'
		ls /run/ninefold/state/views 2>/dev/null
		find /sys/fs/cgroup -type d -name 'ninefold-view-*'
		pgrep -x 'ninefold-(init|enter)'
		loginctl list-sessions --no-legend | grep -E 'alice|bob|carol'; true`
	const count = `d=$(systemctl show -P MainPID sessiond)
		echo $(ls /proc/$d/fd | wc -l) $(grep -cvE ' /run/(user|credentials)/' /proc/1/mountinfo) $(ls -d /proc/[0-9]* | wc -l) $(awk '/VmRSS/ { print $2 }' /proc/$d/status)`
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
	r := m.Run(ctx, "bash", "-c", count)
	var g grown
	if _, err := fmt.Sscan(r.Stdout, &g.descriptors, &g.mounts, &g.processes, &g.rss); err != nil {
		return nil, fmt.Errorf("%w: %s", err, r)
	}
	return &g, nil
}
