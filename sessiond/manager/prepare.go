package manager

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ninefold/namespaces/plan"
	"ninefold/roots/compat"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/profile"
)

// Request asks for a session.
type Request struct {
	Profile string
	// Image is the erofs file to stand on, in place of a profile.
	Image string
	// User is a name or number; "" is the caller.
	User string
	// Keep keeps the writable layer though the profile does not.
	Keep bool
	// For is the user at whose wish root makes a guest's session; 0 is root. The
	// profile can be one of that user's own, and how many are in at once is bounded.
	For uint32
	// Guest makes the session a guest's, whatever the profile says of its user.
	Guest bool
	// Dir is the directory to start in where the session has the host's files
	// there; "" is the user's home.
	Dir string
	// Command is argv; empty is the profile's command, or the user's shell.
	Command []string
	// The files stay the caller's.
	Stdin, Stdout, Stderr *os.File
}

// prepared is a session that is decided and not yet made. What it holds must
// be released.
type prepared struct {
	profile *profile.Profile
	user    identity.User
	spec    plan.Spec
	session decided.Session
	base    *composition
	kept    *kept
	note    string // for the person
}

func (p *prepared) release() {
	p.kept.release()
	if p.base != nil {
		p.base.release()
	}
}

// prepare decides everything about a session: whom it is for, what it stands
// on, and by which steps it is made. It claims what the session uses.
func (m *Manager) prepare(ctx context.Context, r Request, claim bool) (_ *prepared, err error) {
	p := &prepared{}
	defer func() {
		if err != nil {
			p.release()
		}
	}()
	if r.Image != "" {
		if r.Image, err = filepath.Abs(r.Image); err == nil {
			p.profile, err = profile.OnFile(r.Image)
		}
	} else {
		p.profile, err = m.profileFor(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	if r.Keep && r.Image != "" {
		return nil, fmt.Errorf("%w: %s: nothing is kept over a file; import it (sessionctl image import) to do that", ErrFileBase, r.Image)
	}
	if r.Guest {
		p.profile = p.profile.ForGuest()
	}
	if p.profile.Guest() {
		err = m.admitGuest(p, r)
	} else {
		p.user, err = findUser(ctx, r.User)
	}
	if err != nil {
		return nil, err
	}
	if p.base, err = m.compose(ctx, p.profile, claim); err != nil {
		return nil, fmt.Errorf("profile %s: %w", p.profile.Name, err)
	}
	if err := m.specify(p); err != nil {
		return nil, fmt.Errorf("profile %s: %w", p.profile.Name, err)
	}
	if r.Keep || p.profile.Keep.Root == "user" {
		if err := m.keep(ctx, p, claim); err != nil {
			return nil, err
		}
	}
	p.session.Profile, p.session.Command, p.session.Stay = p.profile.Name, p.profile.Command, p.stay()
	if len(p.session.Command) == 0 {
		p.session.Command = []string{p.spec.User.Shell}
	}
	if p.spec.HostBase {
		p.session.Watched.Content(compat.Watched(m.host.root)...)
	}
	if p.session.Plan, err = plan.Compile(p.spec); err != nil {
		return nil, err
	}
	if p.session.Guest != 0 {
		err = m.example(p)
	}
	return p, err
}

// specify fills in the spec from profile, user, machine and what the session
// stands on.
func (m *Manager) specify(p *prepared) error {
	s := &p.spec
	if c := p.base.context; c != nil && c.moved {
		p.note = fmt.Sprintf("the machine has changed since the context %s was begun; sessionctl context rebase %s moves it along", c.record.Name, c.record.Name)
	}
	s.Layers, s.HostBase, s.Parts = p.base.layers, p.base.onHost, p.base.parts
	s.User = planUser(p.user)
	s.User.Shell = identity.Shell(p.user, p.base.hasShell)
	language := cmp.Or(m.host.language(), "C.UTF-8")
	if !p.base.hasLocale(language) {
		language = "C.UTF-8"
	}
	s.Environment = environment(p.user, p.profile.Name, s.User.Shell, language, p.base.environment)
	if p.session.Guest != 0 { // who has one on no host
		s.Environment = append(s.Environment, runtimeDir(p.user))
	}
	if err := p.profile.Fill(s); err != nil {
		return err
	}
	if p.profile.KeepsHome() {
		s.HomeDisk = m.Guests().HomeDisk(p.profile.Name)
	}
	if p.session.Guest != 0 && p.profile.Origin != 0 {
		guests.Curb(s)
	}
	var err error
	if s.InitDir, err = m.InitDir(); err != nil {
		return err
	}
	if s.HostBase {
		if s.HostMounts, err = m.host.hostMounts(); err != nil {
			return err
		}
		// The file systems of contexts are nobody's but theirs.
		s.HostMounts = slices.DeleteFunc(s.HostMounts, func(h plan.HostMount) bool {
			own := slices.ContainsFunc(s.Parts, func(p plan.Part) bool { return p.Path == h.Path })
			return own || inside(h.Path, m.state) && h.Path != m.state
		})
	}
	return m.project(p)
}

// stay says where the session can begin in the caller's directory: on the host's
// root everywhere, elsewhere in a home shared with the host.
func (p *prepared) stay() decided.Stay {
	stay := decided.Stay{Everywhere: p.spec.HostBase}
	if p.spec.Home == "shared" {
		stay.Home = p.spec.User.Home
	}
	return stay
}

// Plan returns the plan by which a session would be made. It claims nothing.
func (m *Manager) Plan(ctx context.Context, r Request) (*plan.Plan, error) {
	p, err := m.prepare(ctx, r, false)
	if err != nil {
		return nil, err
	}
	defer p.release()
	if p.session.Guest != 0 {
		return guests.Bound(p.session.Plan), nil
	}
	return p.session.From(r.Dir), nil
}
