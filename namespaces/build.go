package namespaces

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/layers"
	"ninefold/namespaces/plan"
)

// builder executes one plan on one thread.
type builder struct {
	plan    *plan.Plan
	command Command
	first   firstProcess
	have    *kernel.OverlayFeatures // what to use of the overlay; nil asks the kernel

	sources map[int]kernel.FD // bind sources by step, opened before anything is mounted
	held    []kernel.FD       // everything opened, closed at the end whatever happens

	cgroup   *kernel.Cgroup       // nil without cgroup limits
	host     kernel.FD            // the host's root, while its view is whole
	hostRoot uint64               // mount id of the host's root
	stack    *layers.Stack        // layers, uppers and places to attach to
	idmap    kernel.FD            // user namespace with the plan's range of ids, or None
	root     kernel.FD            // the session's root
	empty    map[string]kernel.FD // by kind: see mountEmpty
	readonly []place              // what must refuse writing
	away     bool                 // the thread has namespaces of the session's
	stays    bool                 // the session outlives its command
}

type place struct {
	name string
	fd   kernel.FD
}

func newBuilder(p *plan.Plan, c Command) (*builder, error) {
	if err := plan.Validate(p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	ns := p.Ops[0].(plan.Namespaces)
	b := &builder{
		plan: p, command: c, root: kernel.None, idmap: kernel.None, sources: map[int]kernel.FD{},
	}
	if c.Guard != nil {
		c.Guard.Disks = nil
	}
	b.first.namespaces = ns
	b.first.class = p.Class
	return b, b.first.collect(p)
}

func (b *builder) hold(fd kernel.FD) kernel.FD {
	b.held = append(b.held, fd)
	return fd
}

// run builds and starts. It runs on a thread that is destroyed afterwards.
func (b *builder) run() (s *Session, err error) {
	defer func() {
		if b.stack != nil {
			b.stack.Close()
		}
		for i := len(b.held) - 1; i >= 0; i-- {
			b.held[i].Close()
		}
	}()
	if err := b.makeCgroup(); err != nil {
		return nil, err
	}
	if b.cgroup != nil {
		defer func() {
			if err != nil {
				b.cgroup.Remove()
			} else {
				b.cgroup.Close()
			}
		}()
	}
	if err := b.unshare(); err != nil {
		return nil, err
	}
	if err := b.openSources(); err != nil {
		return nil, err
	}
	if err := b.makeRange(); err != nil {
		return nil, err
	}
	if err := b.asRoot(b.executeAll); err != nil {
		return nil, err
	}
	if b.root == kernel.None {
		return nil, fmt.Errorf("%w: nothing is mounted on /", ErrPlan)
	}
	if err := b.protectProc(); err != nil {
		return nil, err
	}
	if err := kernel.PivotRoot(b.root); err != nil {
		return nil, err
	}
	if err := b.verify(); err != nil {
		return nil, err
	}
	return b.start()
}

// unshared are the namespaces that the builder's thread makes, CLONE_NEW*; the
// others come with the first process.
func (b *builder) unshared() int {
	ns := b.first.namespaces
	flags := unix.CLONE_NEWNS
	for _, n := range [...]struct {
		flag  int
		asked bool
	}{
		{unix.CLONE_NEWIPC, ns.IPC}, {unix.CLONE_NEWUTS, ns.UTS}, {unix.CLONE_NEWCGROUP, ns.Cgroup},
		{unix.CLONE_NEWNET, ns.Net == plan.NetNone},
	} {
		if n.asked {
			flags |= n.flag
		}
	}
	return flags
}

func (b *builder) unshare() error {
	ns := b.first.namespaces
	if err := kernel.Unshare(b.unshared()); err != nil {
		return err // all of it or nothing, unshare(2)
	}
	b.away = true
	if err := kernel.ReceiveMounts(); err != nil {
		return err
	}
	if ns.UTS && ns.Hostname != "" {
		if err := kernel.Hostname(ns.Hostname); err != nil {
			return err
		}
	}
	if ns.Net == plan.NetNone {
		return kernel.LoopbackUp()
	}
	return nil
}

// openSources opens every bind source while the host's view is still whole,
// each with the file-access rights of the one who brought it in.
func (b *builder) openSources() error {
	root, err := kernel.OpenHost("/")
	if err != nil {
		return err
	}
	b.host = b.hold(root)
	if b.hostRoot, _, err = kernel.MountID(root); err != nil {
		return err
	}
	for i, op := range b.plan.Ops {
		switch op := op.(type) {
		case plan.Bind:
			err = wrap(b.openSource(i, op), "bind %s %s", op.Source, op.Target)
		case plan.Disk:
			err = wrap(b.openDisk(i, op), "mount %s on %s", op.Source, op.Target)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) executeAll() error {
	for i, op := range b.plan.Ops[1:] {
		if err := b.execute(i+1, op); err != nil {
			return err
		}
	}
	return nil
}

// execute does one step.
func (b *builder) execute(i int, op plan.Op) error {
	var err error
	switch op := op.(type) {
	case plan.Overlay:
		err = wrap(b.overlay(op), "mount the root of the session on %s", op.Target)
	case plan.Mount:
		err = wrap(b.mount(i, op), "mount %s on %s", op.Type, op.Target)
	case plan.Bind:
		err = wrap(b.bind(i, op), "bind %s %s", op.Source, op.Target)
	case plan.Disk:
		err = wrap(b.disk(i, op), "mount %s on %s", op.Source, op.Target)
	case plan.Unmount:
		err = wrap(b.unmount(op), "unmount %s", op.Target)
	case plan.Mkdir:
		err = wrap(b.mkdir(op), "make directory %s", op.Path)
	case plan.Link:
		err = wrap(b.link(op), "make link %s", op.Path)
	case plan.File:
		err = wrap(b.file(op), "write %s", op.Path)
	case plan.ReadOnly:
		err = wrap(b.makeReadOnly(op), "make %s read-only", op.Target)
	case plan.Namespaces:
		err = fmt.Errorf("%w: step %d says namespaces a second time", ErrPlan, i)
	case plan.Chdir, plan.Identity, plan.Privileges, plan.Limit, plan.Environment:
		// The first process does these; see collect.
	default:
		err = fmt.Errorf("%w: step %d is of unknown kind %T", ErrPlan, i, op)
	}
	return err
}

func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

func attrs(f plan.Flags) (a kernel.Attr) {
	if f.ReadOnly {
		a |= kernel.ReadOnly
	}
	if f.NoSuid {
		a |= kernel.NoSuid
	}
	if f.NoDev {
		a |= kernel.NoDev
	}
	if f.NoExec {
		a |= kernel.NoExec
	}
	return a
}

func (b *builder) needRoot() error {
	if b.root == kernel.None {
		return fmt.Errorf("%w: it comes before the root overlay", ErrPlan)
	}
	return nil
}

func (b *builder) mkdir(op plan.Mkdir) error {
	if err := b.needRoot(); err != nil {
		return err
	}
	return b.makeIn(op.Path, func(dir kernel.FD, name string, own bool) error {
		return kernel.Mkdir(dir, name, op.Mode, b.ids(own, op.UID), b.ids(own, op.GID))
	})
}

func (b *builder) link(op plan.Link) error {
	if err := b.needRoot(); err != nil {
		return err
	}
	return b.makeIn(op.Path, func(dir kernel.FD, name string, _ bool) error {
		return kernel.Symlink(op.Text, dir, name)
	})
}

func (b *builder) file(op plan.File) error {
	if err := b.needRoot(); err != nil {
		return err
	}
	return b.makeIn(op.Path, func(dir kernel.FD, name string, own bool) error {
		return kernel.WriteFile(dir, name, []byte(op.Content), op.Mode, b.ids(own, op.UID), b.ids(own, op.GID))
	})
}

// makeIn runs f on the parent directory of a path, made if missing. In the
// session user's own directory f runs with that user's file access, and own is
// set: the user could exchange what root makes there before root is done with
// it, and turn a link of root's, which steps follow, to another purpose.
func (b *builder) makeIn(path string, f func(dir kernel.FD, name string, own bool) error) error {
	dir, name, err := kernel.ParentIn(b.root, path)
	if err != nil {
		return err
	}
	defer dir.Close()
	owner, err := kernel.Owner(dir)
	if err != nil {
		return err
	}
	if owner == 0 || owner != b.first.identity.UID {
		return f(dir, name, false)
	}
	return b.asOrigin(plan.Origin(owner), func() error { return f(dir, name, true) })
}

// ids is the id to give to what was made; 0 leaves it as it is, root's.
func (b *builder) ids(own bool, id uint32) uint32 {
	if own || id == 0 {
		return 0
	}
	return b.first.namespaces.OnHost(id)
}

func (b *builder) unmount(op plan.Unmount) error {
	if err := b.needRoot(); err != nil {
		return err
	}
	fd, err := kernel.OpenTargetIn(b.root, op.Target, 0)
	if err != nil {
		return err
	}
	defer fd.Close()
	return kernel.Detach(fd, op.Target)
}

func (b *builder) makeReadOnly(op plan.ReadOnly) error {
	if err := b.needRoot(); err != nil {
		return err
	}
	fd, err := kernel.OpenTargetIn(b.root, op.Target, 0)
	if err != nil {
		return err
	}
	b.hold(fd)
	b.readonly = append(b.readonly, place{op.Target, fd})
	return kernel.SetAttr(fd, kernel.ReadOnly, false)
}

// below joins a step's target to a name inside it.
func below(target, name string) string { return path.Join(target, strings.TrimPrefix(name, "/")) }
