package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options change how a machine is made.
type Options struct {
	// State is a directory of the host that the machine has as
	// /var/lib/ninefold, with an image store in it, say. The default is a
	// directory of the machine's own. Either way it is on a real file system,
	// because an overlay cannot be a layer of two more.
	State  string
	Set    *Set     // more packages, not on a disk of its own
	Disk   int64    // bytes of a disk of its own for all but the state, which it can fill; 0 is the host's
	Plain  bool     // the root is a file system of its own, no overlay
	Nspawn []string // further arguments of systemd-nspawn
}

// Machine is a booted machine. Close must be called. Its methods may be used
// by several goroutines, but for Reboot and Close.
type Machine struct {
	Suite   string
	options Options
	name    string
	tree    string
	dir     string // upper, work, root, state, console
	launch  *launch
	leader  int // the machine's PID 1, as the host numbers it
}

const bootTime = 90 * time.Second

// Start boots a machine of the suite; only root can. Making the tree for the first time takes
// minutes and the network.
func Start(ctx context.Context, suite string, o Options) (*Machine, error) {
	if os.Getenv(Inside) != "" {
		return here(suite)
	}
	tree, err := TreeOf(ctx, suite, o.Set)
	if err != nil {
		return nil, err
	}
	// Not below /tmp, which is often a tmpfs: a machine writes a lot.
	dir, err := os.MkdirTemp(cacheDir(), "running-"+suite+"-")
	if err != nil {
		return nil, err
	}
	m := &Machine{Suite: suite, options: o, tree: tree, dir: dir, name: "nf" + filepath.Base(dir)[len("running"):]}
	for _, sub := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	if o.Disk > 0 {
		if err := smallDisk(ctx, dir, o.Disk); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	if o.Plain {
		if err := plainDisk(ctx, suite, dir); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	if o.State != "" {
		err = os.Symlink(o.State, filepath.Join(dir, "state"))
	} else {
		err = os.Mkdir(filepath.Join(dir, "state"), 0o700)
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if o.Set != nil {
		if err := o.Set.write(filepath.Join(dir, "upper")); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	if err := m.boot(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if o.Set != nil {
		if err := o.Set.finish(ctx, m); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

// smallDisk makes the disk that the launcher mounts.
func smallDisk(ctx context.Context, dir string, size int64) error {
	if err := os.Mkdir(filepath.Join(dir, "small"), 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, "disk")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(name, size); err != nil {
		return err
	}
	return host(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", name)
}

func (m *Machine) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bootTime, fmt.Errorf("no boot within %s", bootTime))
	defer cancel()
	if err := m.start(ctx); err != nil {
		console, _ := os.ReadFile(m.Console())
		return fmt.Errorf("boot %s: %w\nconsole:\n%s", m.Suite, err, tail(console))
	}
	return nil
}

// Console is the file that holds what the machine wrote to its console.
func (m *Machine) Console() string { return filepath.Join(m.dir, "console") }

// Inside names the variable that says that the machine to test is this one, a
// virtual one that is thrown away, and which suite it is.
const Inside = "NINEFOLD_INSIDE"

// here is the machine that this process runs on.
func here(suite string) (*Machine, error) {
	unified, _, err := hierarchies()
	m := &Machine{Suite: suite, leader: 1, launch: &launch{cgroup: &cgroup{root: unified}, done: make(chan struct{})}}
	return m, err
}

// Virtual reports whether it is a virtual machine that the test itself runs
// in. It cannot be switched off.
func (m *Machine) Virtual() bool { return m.dir == "" }

// Reboot shuts the machine down in order and boots it again. What it wrote
// stays, but for what is in memory.
func (m *Machine) Reboot(ctx context.Context) error {
	if l := m.launch; l != nil {
		m.Run(ctx, "systemctl", "poweroff")
		select {
		case <-l.done:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), m.end())
		case <-time.After(bootTime):
			return errors.Join(fmt.Errorf("%s does not shut down within %s", m.Suite, bootTime), m.end())
		}
		if err := m.end(); err != nil {
			return err
		}
	}
	return m.boot(ctx)
}

// Close ends the machine and removes what it wrote.
func (m *Machine) Close() error {
	if m.Virtual() {
		return nil
	}
	return errors.Join(m.end(), os.RemoveAll(m.dir))
}
