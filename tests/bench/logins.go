package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ninefold/tests/machine"
)

const (
	loginUser    = "alice" // uid 1000
	loginProfile = "bench"
	warmRounds   = 40
	coldRounds   = 12
	liveSessions = 200
)

// loginWay is one way to log in, as a line of bash.
type loginWay struct{ name, line string }

var loginWays = []loginWay{
	{"su -l", "su -l " + loginUser + " -c true"},
	{"ssh", "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new " + loginUser + "@localhost true"},
}

// logins measures logins on booted machines: two of the same tree, one with
// Ninefold and a profile for the user, one without either, in turns.
func (b *bench) logins(ctx context.Context) error {
	top, err := os.Getwd()
	if err != nil {
		return err
	}
	for _, suite := range machine.Suites {
		if err := b.loginsOn(ctx, suite, top); err != nil {
			return fmt.Errorf("%s: %w", suite, err)
		}
	}
	return nil
}

func (b *bench) loginsOn(ctx context.Context, suite, top string) (err error) {
	plain, err := machine.Start(ctx, suite, machine.Options{})
	if err != nil {
		return err
	}
	defer plain.Close()
	with, err := machine.Start(ctx, suite, machine.Options{})
	if err != nil {
		return err
	}
	defer with.Close()
	if err := with.Install(ctx, top); err != nil {
		return err
	}
	profile := "version = 1\nname = \"" + loginProfile + "\"\nbase = \"host\"\n"
	if err := with.Write(ctx, "/etc/ninefold/profiles/"+loginProfile+".toml", profile); err != nil {
		return err
	}
	if err := with.Write(ctx, "/etc/ninefold/ninefold.toml", "[login.users]\n"+loginUser+" = \""+loginProfile+"\"\n"); err != nil {
		return err
	}
	if err := wait(ctx, "the profile to be in force", func() bool {
		return strings.Contains(with.Run(ctx, "su", "-l", loginUser, "-c", "sessionctl status").Stdout, loginProfile)
	}); err != nil {
		return err
	}
	b.table.section("logins on a booted Debian " + suite + ": with a profile, and on a machine without Ninefold")
	if err := b.cold(ctx, plain, with); err != nil {
		return err
	}
	if err := b.warm(ctx, plain, with); err != nil {
		return err
	}
	if err := b.made(ctx, with); err != nil {
		return err
	}
	return b.live(ctx, plain, with)
}

// warm measures logins of a user whose manager runs.
func (b *bench) warm(ctx context.Context, plain, with *machine.Machine) error {
	for _, m := range []*machine.Machine{plain, with} {
		hold := m.Command(ctx, "su", "-l", loginUser, "-c", "exec sleep 3600")
		if err := hold.Start(); err != nil {
			return err
		}
		defer func() { hold.Process.Kill(); hold.Wait() }()
		if err := wait(ctx, "the user manager", func() bool { return m.Run(ctx, "systemctl", "is-active", "user@1000.service").OK() }); err != nil {
			return err
		}
	}
	for _, w := range loginWays {
		results, failed := interleave(ctx, warmRounds, []contender{loginTime("plain", plain, w), loginTime("with", with, w)})
		for _, err := range failed {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		without, ours := results["plain"], results["with"]
		more, q := ours.median-without.median, ratio(ours.median, without.median)
		b.table.add(row{what: w.name + ", warm", value: fmt.Sprintf("%.1f : %.1f ms, %+.1f", ms(ours.median), ms(without.median), ms(more)),
			ratio: fmt.Sprintf("%5.3f", q), target: "<= +10 ms and <= 1.05", met: more <= 10*time.Millisecond && q <= 1.05})
	}
	return ctx.Err()
}

// cold measures logins that start the user's manager, and compose the view.
func (b *bench) cold(ctx context.Context, plain, with *machine.Machine) error {
	w := loginWays[0]
	results, failed := interleave(ctx, coldRounds, []contender{coldTime("plain", plain, w), coldTime("with", with, w)})
	for _, err := range failed {
		return fmt.Errorf("%s, cold: %w", w.name, err)
	}
	without, ours := results["plain"], results["with"]
	q := ratio(ours.median, without.median)
	b.table.add(row{what: w.name + ", cold", value: fmt.Sprintf("%.0f : %.0f ms", ms(ours.median), ms(without.median)),
		ratio: fmt.Sprintf("%5.3f", q), target: "<= 1.15", met: q <= 1.15})
	return ctx.Err()
}

// loginTime measures inside of the machine, so that the way into it does not count.
func loginTime(name string, m *machine.Machine, w loginWay) contender {
	return contender{name, func(ctx context.Context) (time.Duration, error) {
		r := m.Run(ctx, "bash", "-c", "a=$EPOCHREALTIME; "+w.line+" || exit; b=$EPOCHREALTIME; echo $a $b")
		if !r.OK() {
			return 0, fmt.Errorf("%s", r)
		}
		f := strings.Fields(r.Stdout)
		if len(f) < 2 {
			return 0, fmt.Errorf("no times: %s", r)
		}
		from, err1 := strconv.ParseFloat(f[len(f)-2], 64)
		to, err2 := strconv.ParseFloat(f[len(f)-1], 64)
		if err1 != nil || err2 != nil {
			return 0, fmt.Errorf("no times: %s", r)
		}
		return time.Duration((to - from) * float64(time.Second)), nil
	}}
}

func coldTime(name string, m *machine.Machine, w loginWay) contender {
	inner := loginTime(name, m, w)
	return contender{name, func(ctx context.Context) (time.Duration, error) {
		if r := m.Run(ctx, "systemctl", "stop", "user@1000.service", "user-1000.slice"); !r.OK() {
			return 0, fmt.Errorf("%s", r)
		}
		if err := wait(ctx, "the user to be gone", func() bool {
			return !m.Run(ctx, "systemctl", "is-active", "user-1000.slice").OK() && strings.Count(m.Run(ctx, "sh", "-c", "ls /run/ninefold/state/views 2>/dev/null").Stdout, "\n") == 0
		}); err != nil {
			return 0, err
		}
		return inner.once(ctx)
	}}
}

var tookPattern = regexp.MustCompile(`view made.* took=([0-9.a-zµ]+)`)

// made reads from the daemon's log how long the roots of the logins took.
func (b *bench) made(ctx context.Context, m *machine.Machine) error {
	text, err := m.Journal(ctx, "sessiond.service")
	if err != nil {
		return err
	}
	var took []time.Duration
	for _, f := range tookPattern.FindAllStringSubmatch(text, -1) {
		if d, err := time.ParseDuration(f[1]); err == nil {
			took = append(took, d)
		}
	}
	if len(took) == 0 {
		return fmt.Errorf("the log does not say how long a view took")
	}
	slices.Sort(took)
	d := took[len(took)/2]
	b.table.add(row{what: "composing the root of a login", value: fmt.Sprintf("%.1f ms of %d", ms(d), len(took)), target: "<= 5 ms", met: d <= 5*time.Millisecond})
	return nil
}

// live measures the daemon, and PID 1, with many live sessions.
func (b *bench) live(ctx context.Context, plain, with *machine.Machine) error {
	var bare load
	if err := many(ctx, plain, func(before load) (err error) {
		bare, err = lookAt(ctx, plain)
		bare.first -= before.first
		return err
	}); err != nil {
		return err
	}
	return many(ctx, with, func(before load) error {
		if err := wait(ctx, "the sessions to be in the view", func() bool {
			return strings.Count(with.Run(ctx, "sessionctl", "list", "--json").Stdout, `"leader"`) >= liveSessions
		}); err != nil {
			return err
		}
		after, err := lookAt(ctx, with)
		if err != nil {
			return err
		}
		b.table.add(row{what: fmt.Sprintf("memory of sessiond with %d live sessions", liveSessions), value: fmt.Sprintf("%.1f MiB (%.1f before)", float64(after.daemon)/1024, float64(before.daemon)/1024),
			target: "<= 40 MiB", met: after.daemon <= 40<<10})
		ours := after.first - before.first
		b.table.add(row{what: "memory of PID 1 for them, and for as many without Ninefold", value: fmt.Sprintf("%+d : %+d KiB", ours, bare.first),
			target: "<= +256 KiB", met: ours <= bare.first+256}) // it differs by half of that between runs
		b.table.add(row{what: "the machine's mount table with them", value: fmt.Sprintf("%+d lines", after.mounts-before.mounts), target: "+0", met: after.mounts == before.mounts})
		list := contender{"list", loginTime("list", with, loginWay{"list", "sessionctl list >/dev/null"}).once}
		results, failed := interleave(ctx, 20, []contender{list})
		if err := failed["list"]; err != nil {
			return err
		}
		d := results["list"].median
		b.table.add(row{what: "sessionctl list with them", value: fmt.Sprintf("%.1f ms", ms(d)), target: "<= 50 ms", met: d <= 50*time.Millisecond})
		return nil
	})
}

// many calls during while many sessions live, with what there was before them.
func many(ctx context.Context, m *machine.Machine, during func(before load) error) error {
	before, err := lookAt(ctx, m)
	if err != nil {
		return err
	}
	hold := m.Command(ctx, "bash", "-c", fmt.Sprintf("for i in $(seq %d); do su -l %s -c 'exec sleep 3600' & done; wait", liveSessions, loginUser))
	if err := hold.Start(); err != nil {
		return err
	}
	defer func() {
		m.Run(ctx, "systemctl", "stop", "user-1000.slice")
		hold.Process.Kill()
		hold.Wait()
	}()
	if err := wait(ctx, "the sessions", func() bool {
		return strings.Count(m.Run(ctx, "pgrep", "-xf", "sleep 3600").Stdout, "\n") >= liveSessions
	}); err != nil {
		return err
	}
	return during(before)
}

// load is what the daemon, PID 1 and the mount table of a machine hold: KiB and
// lines. The daemon's is 0 where there is none.
type load struct{ daemon, first, mounts int }

func lookAt(ctx context.Context, m *machine.Machine) (l load, err error) {
	r := m.Run(ctx, "sh", "-c", `rss() { awk '/^VmRSS/ { n = $2 } END { print n + 0 }' /proc/$1/status; }
		d=$(systemctl show -P MainPID sessiond.service); [ "$d" = 0 ] && echo 0 || rss $d; rss 1; grep -vc " /run/user/" /proc/1/mountinfo`)
	if _, err := fmt.Sscan(r.Stdout, &l.daemon, &l.first, &l.mounts); err != nil {
		return l, fmt.Errorf("%s: %w", r, err)
	}
	return l, nil
}

// wait asks until it is so.
func wait(ctx context.Context, what string, so func() bool) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if so() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("waited for %s in vain", what)
}
