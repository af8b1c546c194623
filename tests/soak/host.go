package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"ninefold/tests/machine"
)

// hostSoak runs n commands on the host of a booted machine, from four callers at
// a time: each has to end with its own status, and nothing may be left of them.
func hostSoak(ctx context.Context, n int) (err error) {
	top, err := os.Getwd()
	if err != nil {
		return err
	}
	m, err := machine.Start(ctx, "trixie", machine.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	err = errors.Join(m.Install(ctx, top), m.Write(ctx, "/etc/ninefold/host.policy", "ninefold 1\nallow user * profile * as * run * ...\n"))
	if err != nil {
		return err
	}
	const batch = 400 // what fits into the time of one command of the machine
	script := fmt.Sprintf(`for w in 1 2 3 4; do (for i in $(seq %d); do
		case $((i %% 4)) in
		0) sessionctl host true </dev/null; s=0;;
		1) sessionctl host sh -c 'exit 3' </dev/null; s=3;;
		2) sessionctl host sh -c 'kill -TERM $$' </dev/null; s=143;;
		3) timeout -s KILL 0.05 sessionctl host sleep 60 </dev/null; s=137;;
		esac; r=$?; done; echo ok) & done; wait`, batch/4)
	script = strings.ReplaceAll(script, "; s=", "; r=$?; s=")
	script = strings.ReplaceAll(script, "esac; r=$?; done", `esac; [ $r = $s ] || echo "command $i ended with $r, not $s"; done`)
	var before string
	for done := 0; done < n && ctx.Err() == nil; done += batch {
		r := m.Run(ctx, "bash", "-c", script)
		if !r.OK() || strings.ReplaceAll(r.Stdout, "ok\n", "") != "" {
			return errors.New(r.String())
		}
		left, err := hostLeft(ctx, m)
		if err != nil {
			return err
		}
		if before == "" {
			before = left
		} else if left != before {
			return fmt.Errorf("after %d commands on the host there are, beside what was after the first %d:\n%s\nbefore:\n%s", done+batch, batch, left, before)
		}
	}
	fmt.Printf("soak: %6d x command on the host\n", n)
	return ctx.Err()
}

// hostLeft is what is left of commands when they have had time to end: units,
// cgroups, files of systemd's and descriptors of the daemon's.
func hostLeft(ctx context.Context, m *machine.Machine) (string, error) {
	const look = `systemctl list-units --all --plain --no-legend 'ninefold-host-*.service'
		ls /run/systemd/transient | grep ninefold-host-.*service
		find /sys/fs/cgroup -type d -name 'ninefold-host-*.service'
		pgrep -xf 'sleep 60'
		ls /proc/$(systemctl show -P MainPID sessiond)/fd | wc -l`
	var last string
	for range 60 {
		r := m.Run(ctx, "bash", "-c", look)
		if !r.OK() {
			return "", errors.New(r.String())
		}
		last = strings.TrimSpace(r.Stdout)
		if _, err := strconv.Atoi(last); err == nil {
			return "descriptors: " + last, nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return last, nil
}
