package profile

import (
	"fmt"
	"path/filepath"

	"ninefold/namespaces/plan"
)

// OwnMark stands before the name of a profile out of its user's home, so that
// it is never taken for one of the machine's.
const OwnMark = "~"

// OwnDir is where a user's own profiles lie below the home.
const OwnDir = ".config/ninefold/profiles"

// LoadOwn reads the profile name (without the mark) of user uid out of home.
// It has to be called with that user's file access. One that somebody else had
// a hand in is refused, root included: lines act with the rights of who wrote
// them, and the user has only named them.
func LoadOwn(home, name string, uid uint32) (*Profile, error) {
	if !IsName(name) || !filepath.IsAbs(home) {
		return nil, fmt.Errorf("%w: %s%s", ErrNotFound, OwnMark, name)
	}
	file := filepath.Join(home, OwnDir, name+suffix)
	p, err := LoadFile(file)
	if err != nil {
		return nil, err
	}
	for _, o := range []plan.Origin{p.Origin, p.lines.origin} {
		if o != plan.Origin(uid) {
			return nil, fmt.Errorf("%s: %w: uid %d had a hand in it, and a profile of one's own is one's own", file, ErrInvalid, o)
		}
	}
	p.Name = OwnMark + p.Name
	return p, nil
}
