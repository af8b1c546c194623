package namespaces

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

func isMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}

// openSource opens the source of a bind as its origin and copies its mount.
func (b *builder) openSource(i int, bind plan.Bind) error {
	var source kernel.FD
	err := b.asOrigin(b.opener(bind), func() (err error) {
		if bind.Make {
			source, err = kernel.MkdirAllIn(b.host, bind.Source, 0o700)
		} else {
			source, err = kernel.OpenHost(bind.Source)
		}
		return err
	})
	if bind.Optional && isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	b.hold(source)
	if bind.Where != plan.Replace {
		b.sources[i] = source
		return nil
	}
	tree, err := kernel.OpenTree(source, bind.Recursive)
	if err != nil {
		return err
	}
	b.sources[i] = b.hold(tree)
	return nil
}

// opener is whose rights the source of a bind is opened with.
func (b *builder) opener(bind plan.Bind) plan.Origin {
	if bind.AsUser && bind.Origin == 0 {
		return plan.Origin(b.first.identity.UID)
	}
	return bind.Origin
}

// asOrigin runs f with the file access of a plan's origin. The session's user
// brings groups; any other uid gets its own uid alone, which can only see less.
func (b *builder) asOrigin(o plan.Origin, f func() error) error {
	if o == 0 {
		return f()
	}
	gid, groups := uint32(o), []uint32(nil)
	if id := b.first.identity; id.UID == uint32(o) {
		gid, groups = id.GID, id.Groups
	}
	return kernel.AsUser(uint32(o), gid, groups, f)
}

func (b *builder) bind(i int, op plan.Bind) error {
	if err := b.needRoot(); err != nil {
		return err
	}
	tree, ok := b.sources[i]
	if !ok {
		return nil // optional, and not there
	}
	if op.Where != plan.Replace {
		return b.union(tree, op)
	}
	if b.plan.Class == plan.Untrusted && !plan.FollowsHost(op) {
		// A mount that the host makes later below the source would arrive
		// without our nosuid and nodev.
		if err := kernel.Private(tree, op.Recursive); err != nil {
			return err
		}
	}
	if a := attrs(op.Flags); a != 0 {
		if err := kernel.SetAttr(tree, a, op.Recursive); err != nil {
			return err
		}
	}
	if op.Flags.ReadOnly {
		b.readonly = append(b.readonly, place{op.Target, tree})
	}
	dir, err := kernel.IsDir(tree)
	if err != nil {
		return err
	}
	at, err := b.place(op, dir)
	if err != nil {
		return err
	}
	defer at.Close()
	return kernel.Attach(tree, at, op.Target)
}

// place opens the target of a bind, and makes it where it is missing: as the
// origin. What root binds for the user is the user's where the user may make
// it, in the home: a directory of root's would stay there for good.
func (b *builder) place(op plan.Bind, dir bool) (at kernel.FD, err error) {
	find := func() (err error) {
		if dir {
			at, err = kernel.MkdirAllIn(b.root, op.Target, 0o755)
		} else {
			at, err = kernel.TouchIn(b.root, op.Target)
		}
		return err
	}
	who := b.opener(op)
	if who == op.Origin {
		err = b.asOrigin(who, find)
		return at, err
	}
	at, err = kernel.OpenTargetIn(b.root, op.Target, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) {
		if err = b.asOrigin(who, find); errors.Is(err, unix.EACCES) {
			err = b.asOrigin(op.Origin, find)
		}
	}
	return at, err
}

// union joins the bound tree with what is at the target, as a deep overlay:
// what is there wins (After) or loses (Before). What is written goes to the
// source when the step says Create, and nowhere otherwise.
func (b *builder) union(source kernel.FD, op plan.Bind) error {
	there, err := kernel.MkdirAllIn(b.root, op.Target, 0o755)
	if err != nil {
		return err
	}
	b.hold(there)
	m := kernel.OverlayMount{Upper: kernel.None, Work: kernel.None, Attr: attrs(op.Flags), Source: "ninefold"}
	// An overlay does not ask what the mounts of its trees forbid.
	for _, tree := range []kernel.FD{there, source} {
		forbidden, err := kernel.Forbidden(tree)
		if err != nil {
			return err
		}
		m.Attr |= forbidden
	}
	switch {
	case op.Create:
		m.Lowers, m.Upper = []kernel.FD{there}, source
		// Beside a source in a home, a path that the user can turn elsewhere.
		if err = b.asOrigin(b.opener(op), func() (err error) {
			m.Work, err = b.workBeside(op.Source)
			return err
		}); err != nil {
			return err
		}
	case op.Where == plan.After:
		m.Lowers = []kernel.FD{there, source}
	default:
		m.Lowers = []kernel.FD{source, there}
	}
	mnt, err := kernel.NewOverlay(m, b.stack.Have)
	if err != nil {
		return err
	}
	b.hold(mnt)
	if m.Upper == kernel.None {
		b.readonly = append(b.readonly, place{op.Target, mnt})
	}
	return kernel.Attach(mnt, there, op.Target)
}

// workBeside opens the work directory that an overlay needs on the file system
// of its upper. It stays, empty between sessions, as ".NAME.ninefold-work".
func (b *builder) workBeside(source string) (kernel.FD, error) {
	parent, err := kernel.OpenHost(path.Dir(source))
	if err != nil {
		return kernel.None, err
	}
	defer parent.Close()
	name := "." + path.Base(source) + ".ninefold-work"
	if err := kernel.Mkdir(parent, name, 0o755, 0, 0); err != nil {
		return kernel.None, err
	}
	work, err := kernel.OpenIn(parent, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return kernel.None, err
	}
	return b.hold(work), nil
}

func (b *builder) attachDir(mnt kernel.FD, target string) error {
	at, err := kernel.MkdirAllIn(b.root, target, 0o755)
	if err != nil {
		return err
	}
	defer at.Close()
	return kernel.Attach(mnt, at, target)
}

// mount mounts a kernel file system: step i.
func (b *builder) mount(i int, op plan.Mount) error {
	if err := b.needRoot(); err != nil {
		return err
	}
	if b.staysEmpty(i, op) {
		return b.mountEmpty(op)
	}
	switch op.Type {
	case "dev":
		return b.mountDev(op)
	case "proc":
		return b.mountProc(op)
	case "tmpfs", "devpts", "mqueue", "sysfs", "cgroup2":
	default:
		return fmt.Errorf("%w: file system %q is not one a plan may mount", ErrPlan, op.Type)
	}
	mnt, err := kernel.NewMount(op.Type, attrs(op.Flags), options(b.hostIDs(op.Options))...)
	if err != nil {
		return err
	}
	b.hold(mnt)
	if op.Flags.ReadOnly {
		b.readonly = append(b.readonly, place{op.Target, mnt})
	}
	return b.attachDir(mnt, op.Target)
}

// mountProc: a session with a PID namespace mounts its own from inside
// (ninefold-init); what is here until then is the host's, which a mapped
// session needs for its uid_map, and which ends below the session's own.
// Without a PID namespace the host's is what the session sees.
func (b *builder) mountProc(op plan.Mount) error {
	ns := b.first.namespaces
	if ns.PID && ns.User == plan.UserHost {
		at, err := kernel.MkdirAllIn(b.root, op.Target, 0o555)
		at.Close()
		return err
	}
	source, err := kernel.OpenHost("/proc")
	if err != nil {
		return err
	}
	defer source.Close()
	tree, err := kernel.OpenTree(source, false)
	if err != nil {
		return err
	}
	b.hold(tree)
	if err := kernel.SetAttr(tree, kernel.NoSuid|kernel.NoDev|kernel.NoExec, false); err != nil {
		return err
	}
	return b.attachDir(tree, op.Target)
}

// machineKnobs are what of /proc reaches the whole machine, and opens to uid 0
// without any capability.
var machineKnobs = [...]string{"sys", "sysrq-trigger", "irq", "bus", "fs"}

// protectProc makes them read-only where the session has the host's /proc and
// its first command is root. With a /proc of its own ninefold-init does it.
func (b *builder) protectProc() error {
	if b.first.namespaces.PID || b.first.identity.UID != 0 && b.first.capBits == 0 {
		return nil
	}
	for _, knob := range machineKnobs {
		name := "/proc/" + knob
		at, err := kernel.OpenTargetIn(b.root, name, 0)
		if isMissing(err) {
			continue
		}
		if err != nil {
			return err
		}
		b.hold(at)
		tree, err := kernel.OpenTree(at, true)
		if err != nil {
			return err
		}
		b.hold(tree)
		if err := kernel.SetAttr(tree, kernel.ReadOnly, true); err != nil {
			return err
		}
		if err := kernel.Attach(tree, at, name); err != nil {
			return err
		}
		b.readonly = append(b.readonly, place{name, tree})
	}
	return nil
}

func options(words []string) []kernel.Option {
	list := make([]kernel.Option, 0, len(words))
	for _, w := range words {
		name, value, _ := cut(w)
		list = append(list, kernel.Text(name, value))
	}
	return list
}
