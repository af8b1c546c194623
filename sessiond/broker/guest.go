package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/broker/hostbus"
	"ninefold/sessiond/broker/program"
	"ninefold/sessiond/broker/wire"
	"ninefold/sessiond/policy"
	"ninefold/sessiond/profile"
)

// actionGuest is the action of org.ninefold.policy.
const actionGuest = "org.ninefold.guest.run"

// guest makes c a command in a session whose user exists for it alone. No rule is
// asked: on the host runs what makes the session, and nothing else. Whether the
// caller may have one is polkit's to say (permit), and how many of them is that of
// what makes it, which is told for whom it is.
func (b *Broker) guest(ctx context.Context, who *caller, c *command) *refusal {
	r := c.request
	if !profile.IsName(strings.TrimPrefix(r.Guest, profile.OwnMark)) { // and no flag
		return &refusal{wire.NotFound, fmt.Errorf("%q cannot be the name of a profile", plain(r.Guest)), "sessionctl profile list shows those that there are"}
	}
	c.argv = []string{"sessionctl", "run", "--guest"}
	if who.peer.UID != 0 {
		c.argv = append(c.argv, "--for", strconv.FormatUint(uint64(who.peer.UID), 10))
	}
	c.argv = append(c.argv, r.Guest)
	if len(r.Argv) > 0 {
		c.argv = append(append(c.argv, "--"), r.Argv...)
	}
	return b.apart(ctx, c, "as a guest")
}

// apart has root's sessionctl run c.argv, if polkit says that the caller may have it.
func (b *Broker) apart(ctx context.Context, c *command, why string) *refusal {
	if refused := fits(c.argv); refused != nil {
		return refused
	}
	var err error
	if c.target, err = b.people.byName(ctx, "root"); err != nil {
		return &refusal{wire.NotStarted, err, ""}
	}
	c.program = &program.Program{Path: b.Enter, File: b.Enter, Name: filepath.Base(b.Enter)}
	c.dir = "/"
	// Of the caller's variables it has the terminal's type alone.
	c.request.Environment = slices.DeleteFunc(c.request.Environment, func(e string) bool { return !strings.HasPrefix(e, "TERM=") })
	c.decision = policy.Decision{Verdict: policy.Ask, Why: why}
	return nil
}

// permit asks polkit whether the caller may have a guest's session, or a context.
func (b *Broker) permit(ctx context.Context, who *caller, c *command) error {
	leave, ok := b.limits.question(who.peer.UID)
	if !ok {
		return errors.New("too many questions of yours are waiting for an answer")
	}
	defer leave()
	timed, cancel := context.WithTimeout(ctx, hostbus.Patience)
	defer cancel()
	p := hostbus.Process{PID: who.peer.PID, Start: who.peer.Start, UID: who.peer.UID}
	action, details := actionGuest, map[string]string{"profile": plain(c.request.Guest), "caller": who.String()}
	if c.request.Context {
		action, details = actionContext, map[string]string{"command": plain(c.request.Argv[0]), "profile": who.place.Profile, "caller": who.String()}
		if who.place.View != "" {
			action = actionContextInView
		}
	}
	return b.Polkit.Authorize(timed, p, action, details, !c.request.Quiet)
}

// guestStop is how long what keeps a guest's session may take to end it once its
// caller is gone, and to look for what is left.
const guestStop = 15 * time.Second

// pipes refuses what a guest is not to have of a file that its caller has open: by
// a socket it would be given others, and a file of the machine's is none of its own.
func pipes(r *wire.Request, files []wire.FD) *refusal {
	at := 0
	for i, s := range r.Streams {
		if s != wire.Passed {
			continue
		}
		fd := int(files[at])
		at++
		// The kernel's name for it is asked, and no file system (d_path in the kernel's vfs).
		name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		f, ferr := fileOf(fd)
		if err != nil || ferr != nil || f.kind != unix.S_IFIFO || !strings.HasPrefix(name, "pipe:[") {
			return &refusal{wire.Mistaken, fmt.Errorf("stream %d of a guest's is no pipe", i), "use the sessionctl that belongs to this daemon"}
		}
	}
	return nil
}
