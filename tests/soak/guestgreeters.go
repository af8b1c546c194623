package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ninefold/tests/machine"
)

const (
	// guestLoginsRound is after how many logins everything stops and is looked at.
	guestLoginsRound = 100
	// greeterLogins of them are at greeters: those take longer.
	greeterLogins = 6
	// wasBefore is where a machine has what was there before.
	wasBefore = "/run/soak-before"
	// greeterProfile is what a guest of a greeter gets: a program without a terminal.
	greeterProfile = "version = 1\nname = \"soak\"\nbase = \"host\"\ncommand = [\"sh\", \"-c\", \"sleep 1000 & sleep 1000\"]\n[isolation]\nuser = \"dynamic\"\n"
)

// guestLoginSoak has n guests log in in front of a booted machine, some of them at
// greeters, and kills their processes and the daemon. In the second half the daemon is
// left alone, and nothing of it may grow.
func guestLoginSoak(ctx context.Context, suite string, n int) (err error) {
	m, err := guestMachine(ctx, suite, machine.Greeters)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := m.Write(ctx, "/etc/ninefold/profiles/soak.toml", greeterProfile); err != nil {
		return err
	}
	for _, enable := range [][]string{{"--service", "login"}, {"--service", "lightdm", "--profile", "soak"}, {"--service", "greetd", "--profile", "soak"}} {
		if r := m.Run(ctx, append([]string{"sessionctl", "guest", "enable"}, enable...)...); !r.OK() {
			return errors.New(r.String())
		}
	}
	if _, err := inside(ctx, m, whatIsLeft, wasBefore); err != nil {
		return err
	}
	var first *grown
	for done := 0; done < n && ctx.Err() == nil; {
		steady := done >= n/2
		round := min(guestLoginsRound, n-done)
		greeters := min(greeterLogins, round/10)
		said := fmt.Sprintf("of them %d at greeters", greeters)
		if err := guestsOfRound(ctx, m, round-greeters, greeters, steady); err != nil {
			return fmt.Errorf("after %d logins of guests: %w", done, err)
		}
		done += round
		begun := time.Now()
		if _, err := inside(ctx, m, whatIsLeft, wasBefore); err != nil {
			return fmt.Errorf("after %d logins of guests: %w", done, err)
		}
		if steady {
			now, err := daemonNow(ctx, m)
			switch {
			case err != nil:
				return err
			case first == nil:
				first = now
			case now.more(first):
				return fmt.Errorf("after %d logins of guests there is %+v, and there was %+v", done, *now, *first)
			}
			said += fmt.Sprintf(", nobody killed the daemon, %+v", *now)
		}
		fmt.Printf("soak: %6d x login of a guest on %s, %s, nothing left, as was known after %s\n", done, suite, said, time.Since(begun).Round(time.Millisecond))
	}
	return ctx.Err()
}

// guestsOfRound has guests log in at the console, and others at greeters.
func guestsOfRound(ctx context.Context, m *machine.Machine, console, greeters int, steady bool) error {
	how := []string{fmt.Sprint(console)}
	if steady {
		how = append(how, steadily)
	}
	if _, err := inside(ctx, m, append([]string{roundLogins}, how...)...); err != nil {
		return err
	}
	for i := range greeters {
		// The last one is let in before.
		if err := greeterGuest(ctx, m, i == greeters-1, how[1:]); err != nil {
			return err
		}
	}
	return nil
}

// greeterGuest has a guest come by a greeter, and a process of it killed: by lightdm when it
// is in, or by greetd at any moment, where it may be refused.
func greeterGuest(ctx context.Context, m *machine.Machine, lightdm bool, how []string) error {
	const up = "until systemctl is-active -q sessiond.service; do sleep 0.1; done"
	if r := m.Run(ctx, "sh", "-c", up); !r.OK() {
		return errors.New(r.String())
	}
	kill := append([]string{killAtMoment}, how...)
	if lightdm {
		if _, _, err := m.GuestAtLightdm(ctx); err != nil {
			return err
		}
		if _, err := inside(ctx, m, kill...); err != nil {
			return err
		}
	} else {
		var wg sync.WaitGroup
		var err error
		wg.Go(func() { _, err = inside(ctx, m, kill...) })
		_ = m.GreetGreetd(ctx, "guest", "", []string{"true"}, nil) // one whose processes are killed may be refused
		wg.Wait()
		if err != nil {
			return err
		}
	}
	if r := m.Run(ctx, "systemctl", "stop", "lightdm.service", "greetd.service"); !r.OK() {
		return errors.New(r.String())
	}
	return nil
}
