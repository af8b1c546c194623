package plan

import (
	"fmt"
	"slices"
)

// Influence is one thing that somebody other than root brought into a spec.
type Influence struct {
	What   string // for people: "the profile", "the layer /srv/x"
	Origin Origin
}

// Influences lists what makes s untrusted, in the order of the spec; nothing
// means that s is trusted. There is no other input to the decision.
func Influences(s Spec) []Influence {
	var in []Influence
	add := func(o Origin, format string, args ...any) {
		if o != 0 {
			in = append(in, Influence{fmt.Sprintf(format, args...), o})
		}
	}
	if s.Guest {
		add(Origin(s.User.UID), "the session itself, which is a guest's")
	}
	add(s.ProfileOrigin, "the profile %s", s.Profile)
	for _, l := range s.Layers {
		add(l.Origin, "the layer %s", l.Source)
	}
	for _, p := range s.Parts {
		for _, l := range slices.Concat(p.Top, p.Layers) {
			add(l.Origin, "the layer %s", l.Source)
		}
	}
	if s.Upper != nil {
		add(s.Upper.Origin, "the writable layer %s", s.Upper.Dir)
	}
	for _, l := range s.Lines {
		add(origin(l), "the line %q", PrintOp(l.Op))
	}
	return in
}

// origin is whose a line is: its file's author, or whom its step names.
func origin(l Line) Origin {
	if l.Origin != 0 {
		return l.Origin
	}
	switch o := l.Op.(type) {
	case Bind:
		return o.Origin
	case Overlay:
		if o.Upper != nil && o.Upper.Origin != 0 {
			return o.Upper.Origin
		}
		for _, y := range o.Lowers {
			if y.Origin != 0 {
				return y.Origin
			}
		}
	}
	return 0
}

// confine makes an untrusted spec as weak as its class asks, whatever it says
// itself.
func confine(s *Spec) error {
	if s.User.UID == 0 {
		return &problem{fmt.Sprintf("profile %s: uid %d had a hand in %s, and root does not enter such a view; name another user with --user",
			s.Profile, Influences(*s)[0].Origin, Influences(*s)[0].What), ErrRootUntrusted}
	}
	s.Namespaces.User = UserMapped
	s.Privileges.NoNewPrivs = true
	s.Privileges.Capabilities, s.Privileges.Bounding = nil, nil
	if s.Guest {
		guest(s)
	}
	return nil
}

// lineOf returns the step that a line of a profile becomes.
//
// Root's lines may do everything but touch what the session rests on: /, /proc,
// /dev itself and /run/ninefold. Anybody else's may bind, below the user's
// home, /n and /tmp, nosuid and nodev; and set the environment and the working
// directory. So they hide nothing that the profile put up and unmount nothing.
func (c *compiler) lineOf(l Line) (Op, error) {
	who := origin(l)
	if who != 0 {
		return c.foreignLine(l.Op, who)
	}
	switch o := l.Op.(type) {
	case Bind:
		// Opened as root, a link in the user's home could lead to anything.
		if c.inHome(o.Source) {
			o.AsUser = true
		}
		return o, kept(o.Target)
	case Mount:
		return o, kept(o.Target)
	case Unmount:
		return o, kept(o.Target)
	case Mkdir:
		o.UID, o.GID = c.owner(o.Path, o.UID, o.GID)
		return o, kept(o.Path)
	case File:
		o.UID, o.GID = c.owner(o.Path, o.UID, o.GID)
		return o, kept(o.Path)
	case Link:
		return o, kept(o.Path)
	case ReadOnly:
		if o.Target == "/" {
			return o, nil
		}
		return o, kept(o.Target)
	case Chdir, Environment:
		return o, nil
	}
	return nil, forbidden(l.Op, "a profile's line cannot do this")
}

func (c *compiler) foreignLine(op Op, who Origin) (Op, error) {
	switch o := op.(type) {
	case Chdir, Environment:
		return o, nil
	case Bind:
		switch {
		case o.Where != Replace:
			return nil, forbidden(op, "a union takes a line of root's")
		case below(o.Source, "/proc"):
			return nil, forbidden(op, "the source is in /proc")
		case !slices.ContainsFunc(c.ownPlaces(), func(dir string) bool { return o.Target != dir && below(o.Target, dir) }):
			return nil, forbidden(op, "a line of uid %d can only bind below %s", who, c.places())
		}
		o.Origin = who
		return o, nil
	}
	return nil, forbidden(op, "a line of uid %d can only bind, cd and env", who)
}

// ownPlaces are the directories below which a line of somebody other than root
// can bind.
func (c *compiler) ownPlaces() []string {
	if c.ownHome() {
		return []string{c.spec.User.Home, "/n", "/tmp"}
	}
	return []string{"/n", "/tmp"}
}

func (c *compiler) places() string {
	if c.ownHome() {
		return "the home, /n and /tmp"
	}
	return "/n and /tmp"
}

func (c *compiler) inHome(p string) bool { return c.ownHome() && below(p, c.spec.User.Home) }

// owner gives what is made in the user's home to the user.
func (c *compiler) owner(p string, uid, gid uint32) (uint32, uint32) {
	if uid == 0 && gid == 0 && c.inHome(p) {
		return c.spec.User.UID, c.spec.User.GID
	}
	return uid, gid
}

// kept refuses the targets that a session rests on.
func kept(target string) error {
	if slices.Contains([]string{"/", "/proc", "/dev", "/run"}, target) || below(target, "/run/ninefold") {
		return &problem{fmt.Sprintf("the target %s holds up the session itself", short(target)), ErrForbidden}
	}
	return nil
}

func forbidden(op Op, format string, args ...any) error {
	return &problem{fmt.Sprintf("%s: %s", PrintOp(op), fmt.Sprintf(format, args...)), ErrForbidden}
}
