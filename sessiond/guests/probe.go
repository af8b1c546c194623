package guests

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
)

// Program is the probe's name beside the sessions' first process.
const Program = "ninefold-probe"

// maxProbe bounds what the probe says.
const maxProbe = 128 << 10

// probeTime is how long it may take: it makes some two hundred calls.
const probeTime = 20 * time.Second

// namespacesTried are those that a guest's session has of its own.
var namespacesTried = []string{"mnt", "pid", "net", "ipc", "uts", "cgroup", "user"}

// Guard has tried, inside a session of g and as the guest, what must fail there.
// ErrBroken names what got through; nobody is let in then.
func (g *Guest) Guard() (*namespaces.Guard, error) {
	argv := []string{path.Join(plan.LibDir, Program), number(g.UID)}
	for _, kind := range namespacesTried {
		own, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			return nil, fmt.Errorf("try the session of %s: %w", g.Name, err)
		}
		argv = append(argv, own)
	}
	g.guard = &namespaces.Guard{Argv: argv, Time: probeTime, Max: maxProbe, Passed: g.judge}
	return g.guard, nil
}

// judge looks at what the probe says, and that everything is written down before
// the guest is let in. What was tried is written down meanwhile.
func (g *Guest) judge(said []byte, status namespaces.Status) (err error) {
	g.Tries, g.Writable, err = parseProbe(string(said))
	if len(g.guard.Disks) > 0 {
		g.Kept = fmt.Sprintf("%s, on device %s, for profile %s", plan.GuestHome, strings.Join(g.guard.Disks, ", "), g.Profile)
	}
	if err != nil || status.Code > 1 {
		return errors.Join(fmt.Errorf("%w: the probe ended with %d", ErrBroken, status.Code), err)
	}
	if err := g.written(); err != nil {
		g.inUse = errors.Is(err, errInUse)
		return err
	}
	g.write()
	var through []string
	for _, t := range g.Tries {
		if !t.Held {
			through = append(through, fmt.Sprintf("%s (%s)", t.Name, t.How))
		}
	}
	if len(through) > 0 || status.Code != 0 {
		return fmt.Errorf("%w, and nobody was let in: it could %s", ErrBroken, strings.Join(through, ", "))
	}
	return nil
}

// errProbe says that the probe's output is not one.
var errProbe = errors.New("the probe said what cannot be read")

// minTries is fewer than the probe has: one that was cut short proves nothing.
const minTries = 60

// parseProbe reads what the probe says. The guest is not in the session yet, but
// what it says decides, so a line too many or too few is an error.
func parseProbe(said string) (tries []Try, writable []string, err error) {
	lines := bufio.NewScanner(strings.NewReader(said))
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		switch {
		case len(f) == 3 && f[0] == "writable":
			writable = append(writable, f[1]+" "+f[2])
		case len(f) == 3 && f[0] != "" && (f[1] == "held" || f[1] == "through"):
			tries = append(tries, Try{Name: f[0], Held: f[1] == "held", How: f[2]})
		default:
			return nil, nil, fmt.Errorf("%w: %.80q", errProbe, lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errProbe, err)
	}
	if len(tries) < minTries || !strings.HasSuffix(said, "\n") {
		return nil, nil, fmt.Errorf("%w: %d tries", errProbe, len(tries))
	}
	return tries, writable, nil
}
