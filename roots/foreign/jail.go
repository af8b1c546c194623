package foreign

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/store"
)

// ErrTool: a program that takes a file apart is not there.
var ErrTool = errors.New("a program that it needs is not on this machine")

// tool is a program that takes a file apart, and the package that Debian has it in.
type tool struct{ program, pkg string }

// Bounds of the program, whatever is in the file: its memory and its time on a processor. How
// much it may write is up to who reads the tar.
const (
	maxMemory  = 2 << 30 // bytes
	maxSeconds = 3600
	maxSaid    = 1 << 16 // bytes of complaints
)

// nobody is the user that has nothing.
const nobody = 65534

// jailed is a copy of a file of somebody else's, which nobody else can change or see, and what is
// needed to have a program read it in a session of its own.
type jailed struct {
	*os.File
	dir, initDir string
	sweep        func()
}

// jail copies f to where the session of its reader finds it: that
// runs as nobody, who could not open what root alone may read. The caller removes the copy.
func jail(s *store.Store, f *os.File, reader tool, initDir func() (string, error)) (_ *jailed, err error) {
	if _, err := exec.LookPath(reader.program); err != nil {
		return nil, fmt.Errorf("%s: %w: it is in the package %s", reader.program, ErrTool, reader.pkg)
	}
	c := &jailed{}
	if c.initDir, err = initDir(); err != nil {
		return nil, err
	}
	if c.dir, c.sweep, err = s.TempDir("import"); err != nil {
		return nil, err
	}
	if c.File, err = os.Create(filepath.Join(c.dir, "file")); err == nil {
		_, err = io.Copy(c, f)
		// The mode is for the session alone: the directory is root's.
		err = errors.Join(err, c.Chmod(0o644), os.Mkdir(filepath.Join(c.dir, "empty"), 0o755))
	}
	if err == nil {
		_, err = c.Seek(0, io.SeekStart)
	}
	if err != nil {
		c.remove()
		return nil, err
	}
	return c, nil
}

func (c *jailed) remove() {
	if c.File != nil {
		c.Close()
	}
	c.sweep()
}

// plan is a session that holds the machine's programs, read-only, and the file: without
// network, privileges, other processes, or anything of a user's. No file that it writes is larger than
// fsize bytes; more is done in it, too.
func (c *jailed) plan(fsize uint64, more ...plan.Op) *plan.Plan {
	inert := plan.Flags{NoSuid: true, NoDev: true}
	fixed := plan.Flags{NoSuid: true, NoDev: true, ReadOnly: true}
	ops := []plan.Op{
		plan.Namespaces{PID: true, IPC: true, UTS: true, Cgroup: true, Net: plan.NetNone, User: plan.UserMapped, Hostname: "localhost"},
		plan.Overlay{Target: "/", Lowers: []plan.Layer{{Kind: plan.LayerDir, Source: filepath.Join(c.dir, "empty")}}, Upper: &plan.Upper{Size: 1 << 20}, Flags: inert},
		// A user namespace cannot be made without it.
		plan.Mount{Type: "proc", Target: "/proc", Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true}},
		plan.Bind{Source: "/usr", Target: "/usr", Flags: fixed},
		plan.Bind{Source: c.initDir, Target: path.Dir(namespaces.InitPath), Flags: fixed},
		plan.Bind{Source: c.Name(), Target: "/file", Flags: plan.Flags{NoSuid: true, NoDev: true, ReadOnly: true, NoExec: true}},
	}
	for _, dir := range []string{"bin", "lib", "lib32", "lib64", "sbin"} {
		ops = append(ops, plan.Link{Text: "usr/" + dir, Path: "/" + dir})
	}
	ops = append(ops, more...)
	return &plan.Plan{Class: plan.Untrusted, Ops: append(ops,
		plan.ReadOnly{Target: "/"},
		plan.Chdir{Dir: "/"},
		plan.Environment{Name: "PATH", Value: "/usr/local/bin:/usr/bin:/bin"},
		plan.Environment{Name: "LC_ALL", Value: "C"},
		plan.Limit{Name: "as", Value: maxMemory},
		plan.Limit{Name: "cpu", Value: maxSeconds},
		plan.Limit{Name: "fsize", Value: fsize},
		plan.Limit{Name: "core", Value: 0},
		plan.Privileges{NoNewPrivs: true, Seccomp: "default"},
		plan.Identity{UID: nobody, GID: nobody})}
}
