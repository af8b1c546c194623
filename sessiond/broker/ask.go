package broker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"ninefold/sessiond/broker/hostbus"
	"ninefold/sessiond/policy"
)

// actionRun is the action of org.ninefold.policy.
const actionRun = "org.ninefold.host.run"

// maxShown bounds what is shown to who is asked. They are shown all of it or
// are not asked: what does not fit could be the part that matters.
const maxShown = 4096

// answers are those that hold for a while, by what exactly they were given to.
type answers struct {
	mu    sync.Mutex
	until map[[32]byte]time.Time
}

const maxAnswers = 1024

func newAnswers() *answers { return &answers{until: map[[32]byte]time.Time{}} }

// question is what a yes is remembered for: who in which session, as whom, by
// which rule, where, and every word.
func question(who *caller, c *command) [32]byte {
	h := sha256.New()
	for _, s := range append([]string{
		fmt.Sprint(who.peer.UID), who.session, who.place.View, c.target.Name, fmt.Sprint(c.target.UID),
		c.decision.Rule.Place(), policy.Print(*c.decision.Rule), c.program.Path, c.where(),
	}, c.argv...) {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return [32]byte(h.Sum(nil))
}

// where tells the directory that c starts in from any other, also from one that
// has its name by now. A directory that is reached by descriptor has a new name in
// each command, so it is what it was called and which file it is.
func (c *command) where() string {
	if c.place == nil {
		return "path " + c.startDir()
	}
	f, err := fileOf(int(c.place.Fd()))
	if err != nil {
		// No answer is for it.
		return "unknown " + rand.Text()
	}
	return fmt.Sprintf("file %d:%d:%d %s", f.major, f.minor, f.ino, c.request.Dir)
}

func (a *answers) holds(q [32]byte, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Before(a.until[q])
}

func (a *answers) keep(q [32]byte, until, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.until) >= maxAnswers {
		for k, t := range a.until {
			if now.After(t) {
				delete(a.until, k)
			}
		}
	}
	if len(a.until) < maxAnswers {
		a.until[q] = until
	}
}

// ask asks polkit about a command for which a rule says so. remembered says
// that an earlier answer held.
func (b *Broker) ask(ctx context.Context, who *caller, c *command) (remembered bool, err error) {
	q := question(who, c)
	// A session that root does not tell apart is every process of that user:
	// nothing is remembered for it.
	keep := c.decision.Remember > 0 && (who.session != "" || who.place.View != "")
	if keep && b.asked.holds(q, time.Now()) {
		return true, nil
	}
	words := make([]string, 0, len(c.argv))
	size := len(c.program.Path)
	for _, a := range c.argv[1:] {
		words = append(words, word(a))
		size += 1 + len(words[len(words)-1])
	}
	if size > maxShown {
		return false, fmt.Errorf("the command is too long to be shown to who would be asked: %d bytes, at most %d", size, maxShown)
	}
	leave, ok := b.limits.question(who.peer.UID)
	if !ok {
		return false, errors.New("too many questions of yours are waiting for an answer")
	}
	defer leave()
	timed, cancel := context.WithTimeout(ctx, hostbus.Patience)
	defer cancel()
	details := map[string]string{
		"command_line": strings.Join(append([]string{c.program.Path}, words...), " "),
		"program":      c.program.Path,
		"target":       c.target.Name,
		"caller":       who.String(),
		"rule":         plain(c.decision.Rule.Place()),
	}
	p := hostbus.Process{PID: who.peer.PID, Start: who.peer.Start, UID: who.peer.UID}
	err = b.Polkit.Authorize(timed, p, actionRun, details, !c.request.Quiet)
	if err == nil && keep {
		now := time.Now()
		b.asked.keep(q, now.Add(c.decision.Remember), now)
	}
	return false, err
}
