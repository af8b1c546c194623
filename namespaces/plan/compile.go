package plan

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Where a session finds its own things.
const (
	MachineDir  = "/run/ninefold/machine" // Projection.Dir is bound below it
	LibDir      = "/run/ninefold/lib"     // Spec.InitDir
	SessionFile = "/run/ninefold/session" // name=value lines: profile, class, user, home
)

// Compile turns a spec into a plan that Validate accepts. The steps are, in
// this order: namespaces; the root, and the host's other file systems when the
// host is the base; what of the host lies over it; /proc, /sys, /dev, /run, /tmp, the home; what is projected
// from the machine; files and links; Ninefold's own; the profile's lines; and
// what describes the first command.
//
// Its class is trusted if Influences(s) is empty. Otherwise it is untrusted:
// with a user namespace, no_new_privs and no capabilities, nosuid and nodev on
// every overlay and bind (a login's /dev apart), whatever s says; and refused to root
// (ErrRootUntrusted).
func Compile(s Spec) (*Plan, error) {
	c := &compiler{spec: s, plan: &Plan{Class: Trusted}}
	if err := checkSpec(&c.spec); err != nil {
		return nil, err
	}
	if len(Influences(s)) > 0 {
		c.plan.Class = Untrusted
		if err := confine(&c.spec); err != nil {
			return nil, err
		}
	}
	if err := c.checkLogin(); err != nil {
		return nil, err
	}
	c.namespaces()
	c.root()
	c.over()
	c.kernel()
	c.volatile()
	c.media()
	c.home()
	c.machine()
	c.own()
	if err := c.lines(); err != nil {
		return nil, err
	}
	c.command()
	if err := Validate(c.plan); err != nil {
		return nil, err
	}
	return c.plan, nil
}

type compiler struct {
	spec Spec
	plan *Plan
	// readOnly are the mounts that lose write access when all is in place.
	readOnly []string
	// environment is what the profile's lines set, over the spec's.
	environment []Op
}

func (c *compiler) add(ops ...Op) {
	for _, op := range ops {
		if b, ok := op.(Bind); ok && c.plan.Class == Untrusted {
			b.Flags.NoSuid, b.Flags.NoDev = true, !devicesOfHost(b)
			op = b
		}
		c.plan.Ops = append(c.plan.Ops, op)
	}
}

func checkSpec(s *Spec) error {
	if s.User.Home != "" && checkPath("home", s.User.Home) != nil {
		return invalid("user %s: the home %s is not an absolute, clean path", s.User.Name, short(s.User.Home))
	}
	if s.Guest && s.User.UID == 0 {
		return &problem{fmt.Sprintf("profile %s: root is nobody's guest", s.Profile), ErrRootUntrusted}
	}
	if len(s.Layers) == 0 {
		return invalid("profile %s: there is no layer to make a root of", s.Profile)
	}
	if base := s.Layers[len(s.Layers)-1]; s.HostBase && (base.Kind != LayerDir || base.Source != "/" || base.Sub != "") {
		return invalid("profile %s: the base is the host, and the last layer is not the directory /", s.Profile)
	}
	if strings.ContainsAny(s.Profile+s.User.Name, "\n\x00") {
		return invalid("the profile's or user's name holds a newline")
	}
	for _, f := range []struct {
		what, value string
		known       []string
	}{
		{"home", s.Home, []string{"", "shared", "dotfiles", "kept", "private", "none", "layer"}},
		{"tmp", s.Tmp, []string{"", "private", "shared"}},
	} {
		if !slices.Contains(f.known, f.value) {
			return invalid("unknown kind of %s %s%s", f.what, quote(f.value), hint(f.value, f.known[1:]))
		}
	}
	if err := checkKeptHome(s); err != nil {
		return err
	}
	for _, m := range s.HostMounts {
		if err := checkPath("mount of the host", m.Path); err != nil {
			return err
		}
	}
	for _, p := range s.Parts {
		if err := checkPath("part of the root", p.Path); err != nil {
			return err
		}
		if p.Path == "/" || slices.ContainsFunc(s.HostMounts, func(m HostMount) bool { return s.HostBase && m.Path == p.Path }) {
			return invalid("profile %s: %s would have two overlays", s.Profile, short(p.Path))
		}
	}
	return nil
}

func (c *compiler) namespaces() {
	n := c.spec.Namespaces
	n.Net = cmp.Or(n.Net, NetHost)
	n.User = cmp.Or(n.User, UserHost)
	c.spec.Namespaces = n
	c.add(n)
}

// root makes the overlay on / and those on the host's other file systems: an
// overlay does not show what is mounted in its lowers.
func (c *compiler) root() {
	if !c.spec.HostBase {
		c.overlay("/", Flags{})
		c.parts()
		return
	}
	var own Flags
	for _, m := range c.spec.HostMounts {
		if m.Path == "/" {
			own = m.Flags
		}
	}
	c.overlay("/", own)
	mounts := slices.Clone(c.spec.HostMounts)
	slices.SortFunc(mounts, func(a, b HostMount) int { return cmp.Compare(a.Path, b.Path) })
	for _, m := range slices.Compact(mounts) {
		own := m.Path == "/" || c.inHome(m.Path) || belowAny(m.Path, MediaDirs[:]) ||
			belowAny(m.Path, ownMounts[:]) || c.spec.Guest && !c.shows(m.Path)
		if !own {
			c.overlay(m.Path, m.Flags)
		}
	}
	c.parts()
}

// parts makes the overlays of the directories that have their own.
func (c *compiler) parts() {
	parts := slices.Clone(c.spec.Parts)
	slices.SortFunc(parts, func(a, b Part) int { return cmp.Compare(a.Path, b.Path) })
	for _, p := range parts {
		if belowAny(p.Path, ownMounts[:]) || c.spec.Home != "layer" && c.inHome(p.Path) {
			continue
		}
		lowers := p.Layers
		if len(lowers) == 0 {
			lowers = notWritten(c.spec.Layers)
		}
		c.union(p.Path, append(slices.Clone(p.Top), inside(lowers, p.Path)...), p.Flags)
	}
}

// over lays directories of the host over those that images bring.
func (c *compiler) over() {
	images := c.spec.Layers
	if c.spec.HostBase {
		images = images[:len(images)-1] // what is the host's is there already
	}
	if len(images) == 0 {
		return
	}
	for _, dir := range c.spec.Over {
		c.union(dir, append([]Layer{{Kind: LayerDir, Source: dir}}, inside(images, dir)...), Flags{})
	}
}

// inside returns the layers with their directory dir as root.
func inside(layers []Layer, dir string) []Layer {
	out := slices.Clone(layers)
	for i := range out {
		out[i].Sub = path.Join(out[i].Sub, strings.TrimPrefix(dir, "/"))
	}
	return out
}

// ownMounts are the directories that a session never has from its layers.
var ownMounts = [...]string{"/proc", "/sys", "/dev", "/run", "/tmp"}

func (c *compiler) overlay(target string, host Flags) {
	layers := c.spec.Layers
	if target != "/" {
		layers = notWritten(layers)
	}
	c.union(target, inside(layers, target), host)
}

// notWritten leaves out what an overlay on / wrote.
func notWritten(layers []Layer) []Layer {
	return slices.DeleteFunc(slices.Clone(layers), func(l Layer) bool { return l.Kind == LayerUpper })
}

func (c *compiler) union(target string, lowers []Layer, host Flags) {
	// No device file outside /dev means anything in a session.
	o := Overlay{Target: target, Lowers: lowers, Flags: Flags{NoSuid: host.NoSuid || c.plan.Class == Untrusted, NoDev: true, NoExec: host.NoExec}}
	// A read-only root is writable while it is being made.
	u := Upper{}
	if c.spec.Upper != nil {
		u = *c.spec.Upper
	}
	if c.spec.Upper == nil || c.spec.Guest {
		c.readOnly = append(c.readOnly, target)
	}
	if target != "/" {
		u.Name += UpperName(target)
	}
	o.Upper = &u
	c.add(o)
}

// UpperName is a single path element for a mount point, different for each: where the
// upper of the overlay there lies beside that of the root.
func UpperName(target string) string {
	return "@" + strings.NewReplacer("%", "%25", "/", "%2F").Replace(target[1:])
}

// lines adds what the profile's own namespace file says.
func (c *compiler) lines() error {
	made := false
	for _, l := range c.spec.Lines {
		op, err := c.lineOf(l)
		if err != nil {
			return err
		}
		if err := checkOp(op); err != nil {
			return err
		}
		// /n is Plan 9's place for what comes from elsewhere. It belongs to the
		// user so that somebody other than root can have a mount point made in it.
		if b, ok := op.(Bind); ok && b.Origin != 0 && below(b.Target, "/n") && !made {
			c.add(Mkdir{Path: "/n", Mode: defaultDirMode, UID: c.spec.User.UID, GID: c.spec.User.GID})
			made = true
		}
		switch o := op.(type) {
		case Mount:
			o.Flags.NoSuid, o.Flags.NoDev = true, o.Flags.NoDev || o.Type != "dev" && o.Type != "devpts"
			c.add(o)
		case Environment:
			c.environment = append(c.environment, o)
		default:
			c.add(op)
		}
	}
	return nil
}

// command ends the plan with what the first command is like.
func (c *compiler) command() {
	s := &c.spec
	for _, target := range slices.Backward(c.readOnly) {
		c.add(ReadOnly{target})
	}
	for _, l := range s.Limits {
		c.add(l)
	}
	for _, e := range s.Environment {
		c.add(e)
	}
	c.add(c.environment...)
	c.add(c.privileges())
	c.add(Identity{UID: s.User.UID, GID: s.User.GID, Groups: someOf(s.User.Groups)})
}

// privileges gives root what the spec allows, and another user nothing but the
// way to gain it: the profile of a desktop is no grant of cap_dac_override.
func (c *compiler) privileges() Privileges {
	p := c.spec.Privileges
	p.Capabilities, p.Bounding = someOf(p.Capabilities), nil
	if c.spec.User.UID == 0 {
		return p
	}
	if !p.NoNewPrivs {
		p.Bounding = p.Capabilities
	}
	p.Capabilities = nil
	return p
}

// someOf makes nothing nil, as Parse does.
func someOf[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}
