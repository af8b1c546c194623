package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"ninefold/sessiond/door"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/process"
	"ninefold/sessiond/views"
)

// caller is who asks, as the kernel and the host know them.
type caller struct {
	peer door.Peer
	user identity.User
	// session is logind's, "" outside of one.
	session string
	place   views.Place
}

// groups are the names of the caller's groups.
func (c *caller) groups() []string {
	var names []string
	for _, gid := range c.user.Groups {
		if name := c.user.GroupNames[gid]; name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// String says who it is, for the log and for systemctl.
func (c *caller) String() string {
	s := c.user.Name
	if c.session != "" {
		s += ", session " + c.session
	}
	if c.place.Profile != "" {
		s += ", profile " + c.place.Profile
	}
	return s
}

// identityTimeout bounds looking up users, which a directory service can make
// long.
const identityTimeout = 5 * time.Second

func (b *Broker) identify(ctx context.Context, conn syscall.Conn, accepted time.Duration) (*caller, error) {
	from, err := door.Identify(conn, accepted)
	if err != nil {
		return nil, err
	}
	c := &caller{peer: from}
	if c.user, err = b.people.byUID(ctx, from.UID); err != nil {
		return nil, fmt.Errorf("uid %d, which asks: %w", from.UID, err)
	}
	// A unit of somebody else's, as after su, says nothing of this caller.
	own := from.Unit.UID == from.UID
	if own && from.Unit.Kind == door.SessionScope {
		c.session = from.Unit.Session
	}
	ns, err := process.MountNS(from.PID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", door.ErrPeer, err)
	}
	c.place = b.Where.Locate(from.UID, c.session, own && from.Unit.Kind == door.UserManager, ns)
	return c, nil
}

// people remembers accounts for a moment: a directory service would otherwise
// be asked anew for each of a hundred commands in a row.
type people struct {
	host identity.Host
	mu   sync.Mutex
	seen map[string]remembered
}

type remembered struct {
	user identity.User
	at   time.Time
}

const (
	rememberPeople = 2 * time.Second
	maxPeople      = 256
)

func newPeople() *people { return &people{seen: map[string]remembered{}} }

func (p *people) byUID(ctx context.Context, uid uint32) (identity.User, error) {
	return p.find(ctx, fmt.Sprint(uid), func(ctx context.Context) (identity.User, error) { return p.host.ByUID(ctx, uid) })
}

func (p *people) byName(ctx context.Context, name string) (identity.User, error) {
	return p.find(ctx, "name "+name, func(ctx context.Context) (identity.User, error) { return p.host.ByName(ctx, name) })
}

func (p *people) find(ctx context.Context, key string, ask func(context.Context) (identity.User, error)) (identity.User, error) {
	now := time.Now()
	p.mu.Lock()
	r, ok := p.seen[key]
	p.mu.Unlock()
	if ok && now.Sub(r.at) < rememberPeople {
		return r.user, nil
	}
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	u, err := ask(ctx)
	if err != nil {
		return u, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) >= maxPeople {
		clear(p.seen)
	}
	p.seen[key] = remembered{u, now}
	return u, nil
}
