package manager

import (
	"context"
	"fmt"
	"path"
	"time"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/entrance"
)

// warning is how long before the end of its time a guest is told.
const warning = 5 * time.Minute

// notifyTime is how long that may take on a desktop, which is in the guest's hands.
const notifyTime = 20 * time.Second

// warn tells a guest that its time is nearly over; one who may stay no longer than twice
// that, in the middle of it. Nobody else waits for it, and the session is the same
// whether the guest could be told or not. What is under way ends with stop.
func (g *madeGuest) warn(ctx context.Context, v *entrance.Visitor, longest time.Duration) (stop func()) {
	left := min(warning, longest/2)
	soon := left.Round(time.Second)
	if terminal := v.Files[1]; decided.IsTerminal(terminal) {
		// One that takes nothing (Ctrl+S) is not waited for either.
		t := time.AfterFunc(longest-left, func() {
			fmt.Fprintf(terminal, "\r\nninefold: guests may stay no longer than %s: your session ends in %s, and what is in it goes\r\n", longest, soon)
		})
		return func() { t.Stop() }
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-time.After(longest - left):
			g.notify(ctx, fmt.Sprintf("Your session ends in %s", soon), fmt.Sprintf("Guests may stay no longer than %s, and what is in the session goes.", longest))
		}
	}()
	return func() { cancel(); <-done }
}

// notify shows something on the guest's desktop, as the guest and from inside, where
// that one's bus can be spoken to without anything to lose: with the rights, the filter
// and the bounds of the guest's own programs.
func (g *madeGuest) notify(ctx context.Context, summary, text string) {
	ctx, cancel := context.WithTimeout(ctx, notifyTime)
	defer cancel()
	command, err := g.session.Enter(namespaces.Command{Argv: []string{path.Join(plan.LibDir, "sessionctl"), "guest", "notify", summary, text}})
	if err != nil {
		return // the guest has as many processes as it may, or is gone
	}
	defer context.AfterFunc(ctx, func() { _ = command.Close() })()
	_, _ = command.Wait()
	_ = command.Close()
}
