package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"ninefold/tests/machine"
)

// knockers are who come to the door at once. Alice, who is not among them, logs
// in meanwhile.
var knockers = []string{"root", "bob", "carol", "nobody"}

// knocksAtOnce is how many connections each makes in one command of the machine.
const knocksAtOnce = 500

// doorSoak makes n connections to the door of a booted machine, by several uids,
// with what is no request for the most part. Every login works meanwhile, and
// the daemon is afterwards what it was.
func doorSoak(ctx context.Context, m *machine.Machine, n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := m.CopyIn(ctx, self, "/usr/local/bin/knock", 0o755); err != nil {
		return err
	}
	var first *grown
	for done := 0; done < n && ctx.Err() == nil; {
		each := max(1, min(knocksAtOnce, n/2/len(knockers))) // two rounds at least, to compare
		in, out, err := knocked(ctx, m, each)
		if err != nil {
			return err
		}
		done += each * len(knockers)
		now, err := loginsLeft(ctx, m)
		switch {
		case err != nil:
			return fmt.Errorf("after %d connections: %w", done, err)
		case first == nil:
			first = now
		case now.more(first):
			return fmt.Errorf("after %d connections there is %+v, and after the first %d there was %+v", done, *now, each*len(knockers), *first)
		}
		fmt.Printf("soak: %6d x connection to the door, %+v, meanwhile %d logins entered and %d stayed on the host\n", done, *now, in, out)
	}
	const said = `journalctl --no-pager --boot | grep -c ` + unbelieved + `; systemctl show -P NRestarts sessiond.service; su -l alice -c 'echo $NINEFOLD_PROFILE'`
	if r := m.Run(ctx, "sh", "-c", said); r.Stdout != "0\n0\nsoak\n" {
		return fmt.Errorf("want nothing of it in the log, the same daemon, and a login in its view: %s", r)
	}
	return ctx.Err()
}

// knocked has each knocker make so many connections, and alice log in all the time.
func knocked(ctx context.Context, m *machine.Machine, each int) (entered, stayed int, err error) {
	knocking, stop := context.WithCancel(ctx)
	errs := make([]error, len(knockers))
	var group sync.WaitGroup
	for i, user := range knockers {
		group.Go(func() {
			if r := m.Run(ctx, "setpriv", "--reuid="+user, "--clear-groups", "knock", "knock", fmt.Sprint(each)); !r.OK() {
				errs[i] = fmt.Errorf("%s knocks: %s", user, r)
			}
		})
	}
	go func() { group.Wait(); stop() }()
	for knocking.Err() == nil {
		r := m.Run(ctx, "su", "-l", "alice", "-c", `test "$NINEFOLD_PROFILE" = soak && echo in`)
		switch {
		case r.Stdout == "in\n":
			entered++
		case strings.Contains(r.Stderr, "ninefold: "):
			stayed++
		default:
			stop()
			group.Wait()
			return entered, stayed, errors.New(r.String())
		}
	}
	group.Wait()
	return entered, stayed, errors.Join(errs...)
}
