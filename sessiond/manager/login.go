package manager

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/profile"
)

// Login is the view of a login, decided and claimed. Release must be called.
type Login struct {
	Plan *plan.Plan
	// Layers are what the root is made of, topmost first: images by name, and
	// "host".
	Layers []string
	// Environment is what a login process sets after it has entered.
	Environment []string
	// Notes say what of the profile a login does not have.
	Notes []string
	// Told is what the person has to know of a kept layer, "" mostly.
	Told string
	// Stamp is for namespaces.Command.
	Stamp string
	held  *prepared
}

// Login decides the view of u in profile p, as Plan does for a session. It
// fails with plan.ErrLogin when the profile asks for what a login cannot have.
// With ownRuntime it has a /run/user/UID of its own. Nothing is built here but
// what an image build left out; ctx bounds that.
func (m *Manager) Login(ctx context.Context, p *profile.Profile, u identity.User, ownRuntime bool) (*Login, error) {
	held := &prepared{profile: p, user: u}
	held.spec.OwnRuntime = ownRuntime
	l := &Login{held: held}
	if err := m.login(ctx, l); err != nil {
		l.Release()
		return nil, fmt.Errorf("profile %s: %w", p.Name, err)
	}
	return l, nil
}

func (m *Manager) login(ctx context.Context, l *Login) (err error) {
	held, p := l.held, l.held.profile
	keeps := p.Keep.Root == "user"
	if keeps && p.Origin != 0 {
		return fmt.Errorf("%w: what a root keeps takes the machine's room, which a profile of root's alone gives; set keep.root = \"no\"", plan.ErrLogin)
	}
	if held.base, err = m.compose(ctx, p, true); err != nil {
		return err
	}
	held.spec.Login = true
	if err := m.specify(held); err != nil {
		return err
	}
	if keeps {
		if err := m.keep(ctx, held, true); err != nil {
			return err
		}
		l.Layers = append(l.Layers, "kept")
	}
	if held.note != "" {
		l.Told, l.Notes = held.note, append(l.Notes, held.note)
	}
	if len(held.spec.Limits) > 0 {
		held.spec.Limits = nil
		l.Notes = append(l.Notes, "the profile's limits do not hold for logins; pam_limits and systemd set them")
	}
	if len(p.Devices) > 0 {
		l.Notes = append(l.Notes, "a login has the devices that the host gives its user, not those of the profile's list alone")
	}
	if l.Stamp = namespaces.StampDiscard; p.Parks() {
		l.Stamp = namespaces.StampPark
	}
	if held.base.onHost {
		if err := m.host.network(held); err != nil {
			return err
		}
	}
	files, lines := m.host.logs()
	held.spec.Projections = append(held.spec.Projections, files)
	if !held.spec.HostBase {
		lines = append(lines, m.host.starters(held.spec.InitDir)...)
	}
	held.spec.Lines = append(lines, held.spec.Lines...)
	m.host.authority(&held.spec, held.base.image != nil)
	held.spec.Links = append(held.spec.Links, covers()...)
	if !held.spec.HostBase {
		held.spec.Links = append(held.spec.Links, commands()...)
	}
	if l.Plan, err = plan.Compile(held.spec); err != nil {
		return err
	}
	for _, piece := range held.base.pieces {
		// As the profile calls it, so that it is noticed when that name moves.
		l.Layers = append(l.Layers, cmp.Or(held.base.admission.names[piece.Image], piece.Name))
	}
	if held.base.file != "" || held.base.context != nil {
		l.Layers = append(l.Layers, p.Base)
	}
	if held.base.onHost {
		l.Layers = append(l.Layers, profile.HostBase)
	}
	env := map[string]string{"NINEFOLD_PROFILE": p.Name}
	maps.Copy(env, held.base.environment)
	maps.Copy(env, p.Environment)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		l.Environment = append(l.Environment, name+"="+env[name])
	}
	return nil
}

// Files are the locks that keep what the view stands on. Whoever keeps a copy
// of them open keeps the locks.
func (l *Login) Files() []*os.File {
	var files []*os.File
	if l.held.base != nil {
		files = l.held.base.files()
	}
	if l.held.kept != nil {
		files = append(files, l.held.kept.lock)
	}
	return files
}

// Release gives up our own claim on what the view stands on.
func (l *Login) Release() { l.held.release() }

// network makes the files by which names are resolved live on the host's own
// root, too: the host renames over them when it roams, and an overlay may go on
// to show what was there.
func (m machine) network(held *prepared) error {
	want := held.profile.Project
	live, _, err := m.projections(Projected{Resolv: want.Resolv, Hosts: want.Hosts, Network: true, ZoneInfo: true, CA: "image"})
	held.spec.Projections = append(held.spec.Projections, live...)
	return err
}

// logs keep the records of logins where the host keeps them: sshd and login
// write them after the view is entered. Single files are links into a live
// directory, since logrotate renames over them. Debian 13 has a link in
// /var/lib/wtmpdb to the database in /var/log; SQLite's journal is beside what
// links lead to.
func (m machine) logs() (plan.Projection, []plan.Line) {
	const dir = "/var/log"
	files := plan.Projection{Dir: dir, Optional: true, Writable: true}
	for _, name := range []string{"wtmp", "btmp", "lastlog", "wtmp.db"} {
		if name = dir + "/" + name; m.exists(name) {
			files.Links = append(files.Links, plan.Link{Text: live(name), Path: name})
		}
	}
	var lines []plan.Line
	for _, d := range []string{dir + "/journal", "/var/lib/wtmpdb", "/var/lib/lastlog"} {
		if m.exists(d) {
			lines = append(lines, plan.Line{Op: plan.Bind{Source: d, Target: d, Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true}}})
		}
	}
	return files, lines
}

// starters are the programs of the machine that a graphical session is started
// by, inside the view: our own, whose entries name them by their place on the
// machine, and the scripts that sddm runs sessions by. Other display managers
// use what is in every root.
func (m machine) starters(programs string) []plan.Line {
	var lines []plan.Line
	for _, d := range []string{programs, "/etc/sddm"} {
		if m.exists(d) {
			lines = append(lines, plan.Line{Op: plan.Bind{Source: d, Target: d, Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true}}})
		}
	}
	return lines
}
