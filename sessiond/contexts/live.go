package contexts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/process"
)

// live is what is kept of a context's namespaces, so that others join them.
type live struct {
	Boot    string `json:"boot"` // the kernel's boot id
	PID     int    `json:"pid"`  // of the holder
	Start   uint64 `json:"start"`
	MountNS uint64 `json:"mount_ns"`
	Layer   string `json:"layer"`
	Plan    string `json:"plan"` // as a namespace file
}

var liveKind = record.Kind{Magic: "9foldcl\n", Version: 1, Max: 4 << 20}

const (
	// Where the records of live contexts lie: they are of no use after the machine's
	// next start, and a full disk keeps nobody out.
	runDirectory = "/run/ninefold"
	liveDir      = runDirectory + "/contexts"
	// endTimeout is how long a holder may take to end.
	endTimeout = 2 * time.Second
)

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // "" is as good on a machine without
	return string(b)
}

// open finds the holder of a live context again: nil when there is none. The
// number of a process alone could be another's by now.
func (l *live) open() *os.File {
	if l.Boot != bootID() {
		return nil
	}
	f, err := process.Open(l.PID, l.Start)
	if err != nil {
		return nil
	}
	if ns, err := process.MountNS(l.PID); err != nil || ns != l.MountNS || !process.Alive(l.PID, l.Start) {
		f.Close()
		return nil
	}
	return f
}

// root is a context's root with its holder, open.
type root struct {
	plan   *plan.Plan
	holder *os.File // pidfd
	pid    int
}

func (r *root) close() { r.holder.Close() }

// join finds the root of a context, or makes it, for one who uses the context.
func (c *Contexts) join(ctx context.Context, r contexts.Record) (*root, error) {
	unlock, err := lock(filepath.Join(c.store.Dir(r), "live.lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if l := c.live(r); l != nil {
		if holder := l.open(); holder != nil {
			p, err := plan.Parse("context "+r.Name, []byte(l.Plan))
			if err != nil {
				holder.Close()
				return nil, err
			}
			return &root{p, holder, l.PID}, nil
		}
	}
	s, l, p, err := c.make(ctx, r, r.Layer)
	if err != nil {
		return nil, err
	}
	// Until it is let go the holder ends with us: it is never live without a record.
	if err := l.write(r); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	holder, err := s.Detach()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &root{p, holder, l.PID}, nil
}

func liveFile(r contexts.Record) string { return filepath.Join(liveDir, r.ID) }

func (l *live) write(r contexts.Record) error {
	// The door is below the first, and everybody's.
	if err := os.Mkdir(runDirectory, 0o755); err == nil {
		err = os.Chmod(runDirectory, 0o755)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Mkdir(liveDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return liveKind.WriteForBoot(liveFile(r), l)
}

func (c *Contexts) live(r contexts.Record) *live {
	var l live
	if liveKind.Read(liveFile(r), &l) != nil {
		return nil // none, or of another version: it is made again
	}
	return &l
}

// make makes the namespaces of a context over one of its layers.
func (c *Contexts) make(ctx context.Context, r contexts.Record, layer string) (*namespaces.Session, *live, *plan.Plan, error) {
	first, ids, err := pickRange(ctx, r.ID)
	if err != nil {
		return nil, nil, nil, err
	}
	defer ids.Close() // the holder has it by then
	dir := c.store.LayerDir(r, layer)
	heard := filepath.Join(dir, "heard")
	_, statErr := os.Stat("/var/lib/dpkg/status")
	spec := manager.ContextSpec{Name: r.Name, Upper: dir, First: first, Path: shimDir, Files: files(statErr == nil),
		Binds: []plan.Bind{{Source: heard, Target: heardDir, Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true}}}}
	p, err := c.m.Context(spec)
	if err != nil {
		return nil, nil, nil, err
	}
	if begun, err := contexts.KeepBase(dir, "/"); err != nil {
		return nil, nil, nil, err
	} else if begun && layer == r.Layer {
		// Between making and using it the machine may have changed.
		if err := c.store.Update(r, func(r *contexts.Record) error { r.Stands = Host(time.Now().UTC()); return nil }); err != nil {
			return nil, nil, nil, err
		}
	}
	if err := prepare(dir, p, first); err != nil {
		return nil, nil, nil, err
	}
	s, err := namespaces.Start(context.WithoutCancel(ctx), p, namespaces.Command{Hold: []*os.File{ids}})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make the root of the context %s: %w", r.Name, err)
	}
	l := &live{Boot: bootID(), PID: s.PID(), Layer: layer, Plan: plan.Print(p)}
	if l.Start, err = process.StartTime(l.PID); err == nil {
		l.MountNS, err = process.MountNS(l.PID)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, s.Close())
	}
	return s, l, p, nil
}

// prepare makes the directories of the layers that a plan writes to, and where
// the shims write. The root of each layer looks as the host's directory does.
func prepare(dir string, p *plan.Plan, first uint32) error {
	for _, op := range p.Ops {
		o, ok := op.(plan.Overlay)
		if !ok {
			continue
		}
		at := filepath.Join(dir, o.Upper.Name)
		upper := filepath.Join(at, "upper")
		if _, err := os.Lstat(upper); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Join(at, "work"), 0o700); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Stat(o.Target, &st); err != nil {
			return &os.PathError{Op: "stat", Path: o.Target, Err: err}
		}
		making := upper + record.Aside
		if err := errors.Join(os.RemoveAll(making), os.Mkdir(making, 0o700), os.Chown(making, int(st.Uid), int(st.Gid)),
			unix.Chmod(making, st.Mode&0o7777), os.Rename(making, upper)); err != nil {
			return err
		}
	}
	heard := filepath.Join(dir, "heard")
	if err := os.MkdirAll(heard, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(heard, heardFile), os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	// Of the range that root has this time; whoever had it before has ended.
	return errors.Join(f.Chown(int(first), int(first)), f.Chmod(0o644), os.Chown(heard, int(first), int(first)))
}

// end ends a holder, and with it every process in the context.
func (r *root) end() error {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := process.Signal(r.holder, sig); errors.Is(err, process.ErrGone) {
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		err := process.Wait(ctx, r.holder)
		cancel()
		if err == nil {
			_, _ = unix.Wait4(r.pid, nil, unix.WNOHANG, nil) // ours when we made it, and else init's
			return nil
		}
		// The deadline made the descriptor useless for waiting.
		if f, err := reopen(r.holder); err == nil {
			r.holder.Close()
			r.holder = f
		}
	}
	return nil
}

func reopen(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// stop takes the live root of a context down, when it has one. Nobody is in it,
// or those who are lose what they do.
func (c *Contexts) stop(r contexts.Record) error {
	unlock, err := lock(filepath.Join(c.store.Dir(r), "live.lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	l := c.live(r)
	if l == nil {
		return nil
	}
	if holder := l.open(); holder != nil {
		live := &root{holder: holder, pid: l.PID}
		err := live.end()
		live.close()
		if err != nil {
			return err
		}
	}
	return os.Remove(liveFile(r))
}

// lock waits for a file's lock, and returns what gives it back.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return func() { f.Close() }, nil
}
