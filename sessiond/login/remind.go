package login

import (
	"context"
	"fmt"
	"time"

	"ninefold/sessiond/door"
	"ninefold/sessiond/process"
)

// remindTime bounds the counting for a reminder: su waits for it.
const remindTime = 300 * time.Millisecond

// remind says to who becomes root inside a view what goes with that at logout:
// root is who writes outside of homes. It is "" outside of views.
func (l *Logins) remind(ctx context.Context, from door.Peer) string {
	ns, err := process.MountNS(from.PID)
	if err != nil {
		return ""
	}
	v := l.views.In(ns)
	if v == nil || v.Kept() {
		return ""
	}
	layers, err := v.Layers()
	if err != nil {
		return ""
	}
	defer layers.Close()
	ctx, cancel := context.WithTimeout(ctx, remindTime)
	defer cancel()
	a, err := layers.Count(ctx)
	what := "what is written outside the home"
	if err == nil && !a.More {
		what += fmt.Sprintf(" (so far %d files, %.1f MiB)", a.Files, float64(a.Bytes)/(1<<20))
	}
	if what += " is discarded at logout"; layers.Parks {
		what += "; \"sessionctl session restore\" can bring it back for a while"
	}
	return what
}
