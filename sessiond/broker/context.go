package broker

import (
	"context"
	"errors"
	"strconv"

	"ninefold/sessiond/broker/wire"
)

// The actions of org.ninefold.policy: who asks in a view could get at what that view
// does not show, which is an administrator's to allow.
const (
	actionContext       = "org.ninefold.context.use"
	actionContextInView = "org.ninefold.context.use-in-view"
)

// context makes c a command about contexts of the caller's own. What runs is told
// whose they are before any word of the caller's, and takes that once: it refuses what
// is for administrators, and says how much a user may have. Whether the caller may have
// any is polkit's to say (permit).
func (b *Broker) context(ctx context.Context, who *caller, c *command) *refusal {
	if who.peer.UID == 0 {
		return &refusal{wire.Mistaken, errors.New("root's contexts are not the broker's"), "run the command as root"}
	}
	c.argv = append([]string{"sessionctl", "context", "--for", strconv.FormatUint(uint64(who.peer.UID), 10)}, c.request.Argv...)
	return b.apart(ctx, c, "about contexts")
}
