package guests

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// owner is who has sessions as a guest that no administrator began; the zero value
// is root, whom nothing bounds.
type owner struct {
	uid  uint32
	most int
}

// For returns g for the sessions that the user uid has begun, of whom at most so
// many are in at once.
func (g *Guests) For(uid uint32, most int) *Guests {
	other := *g
	other.of = owner{uid, most}
	return &other
}

// slot is one of those that a user has, held by a lock for as long as its session
// is there: so no two sessions have the same, and one whose keeper was killed is free.
type slot struct{ lock *os.File }

func (p slot) give() {
	if p.lock != nil {
		giveUp(p.lock)
	}
}

// slot takes one, or is ErrMany.
func (g *Guests) slot() (slot, error) {
	if g.of.uid == 0 {
		return slot{}, nil
	}
	if err := os.MkdirAll(g.places(), 0o700); err != nil {
		return slot{}, fmt.Errorf("begin a guest's session: %w", err)
	}
	for n := range g.of.most {
		f, err := lockFile(filepath.Join(g.places(), number(g.of.uid)+"-"+strconv.Itoa(n)))
		if err != nil || f != nil {
			return slot{f}, err
		}
	}
	return slot{}, fmt.Errorf("%w: uid %d has %d, and may have no more", ErrMany, g.of.uid, g.of.most)
}

func (g *Guests) places() string { return filepath.Join(g.dir, "places") }

// forsaken removes the places of sessions whose keepers were killed.
func (g *Guests) forsaken() error {
	names, err := namesIn(g.places())
	for _, name := range names {
		f, lerr := lockFile(filepath.Join(g.places(), name))
		if lerr != nil {
			return lerr
		}
		if f != nil {
			giveUp(f)
		}
	}
	return err
}
