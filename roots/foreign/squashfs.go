package foreign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/store"
)

// ErrTool: a program that takes a file apart is not there.
var ErrTool = errors.New("a program that it needs is not on this machine")

// unsquasher is the program that makes a tar of a squashfs file.
const unsquasher = "sqfs2tar"

// Bounds of the program, whatever is in the file: its memory and its time on a processor. How
// much it may write is up to who reads the tar.
const (
	maxMemory  = 2 << 30 // bytes
	maxSeconds = 3600
	maxSaid    = 1 << 16 // bytes of complaints
)

// nobody is the user that has nothing.
const nobody = 65534

// squashed is a squashfs file of our own, which nobody else can change or
// see, and what is needed to read it.
type squashed struct {
	*os.File
	dir, initDir string
	sweep        func()
}

// copySquashfs copies f to where the session of its reader finds it: that
// runs as nobody, who could not open what root alone may read. The caller removes the copy.
func copySquashfs(s *store.Store, f *os.File, initDir func() (string, error)) (_ *squashed, err error) {
	if _, err := exec.LookPath(unsquasher); err != nil {
		return nil, fmt.Errorf("%s: %w: it is in the package squashfs-tools-ng", unsquasher, ErrTool)
	}
	c := &squashed{}
	if c.initDir, err = initDir(); err != nil {
		return nil, err
	}
	if c.dir, c.sweep, err = s.TempDir("squashfs"); err != nil {
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

func (c *squashed) remove() {
	if c.File != nil {
		c.Close()
	}
	c.sweep()
}

// plan is a session that holds the machine's programs, read-only, and the file: without
// network, privileges, other processes, or anything of a user's.
func (c *squashed) plan() *plan.Plan {
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
	return &plan.Plan{Class: plan.Untrusted, Ops: append(ops,
		plan.ReadOnly{Target: "/"},
		plan.Chdir{Dir: "/"},
		plan.Environment{Name: "PATH", Value: "/usr/local/bin:/usr/bin:/bin"},
		plan.Environment{Name: "LC_ALL", Value: "C"},
		plan.Limit{Name: "as", Value: maxMemory},
		plan.Limit{Name: "cpu", Value: maxSeconds},
		plan.Limit{Name: "fsize", Value: maxSaid},
		plan.Limit{Name: "core", Value: 0},
		plan.Privileges{NoNewPrivs: true, Seccomp: "default"},
		plan.Identity{UID: nobody, GID: nobody})}
}

// tar gives what the file holds as a tar. Closing that before its end ends the
// session.
func (c *squashed) tar(ctx context.Context) (io.ReadCloser, error) {
	said, err := os.CreateTemp(c.dir, "said")
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		said.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &squashTar{out: r, cancel: cancel, said: said, done: make(chan error, 1)}
	go func() {
		// Without -s it leaves out what no tar holds, which is sockets. -r keeps the root's own owner.
		status, err := namespaces.Run(ctx, c.plan(), namespaces.Command{Argv: []string{unsquasher, "-r", ".", "/file"}, Stdout: w, Stderr: said})
		if err == nil && status.Code != 0 {
			err = fmt.Errorf("%w: squashfs: %s ended with status %d%s", ErrUnusable, unsquasher, status.Code, complaint(said))
		}
		t.done <- err
		w.Close()
	}()
	return t, nil
}

// squashTar is the tar that the program writes: its end is one only if the
// program ended well.
type squashTar struct {
	out    *os.File
	cancel context.CancelFunc
	said   *os.File
	done   chan error
	ended  bool
}

func (t *squashTar) Read(b []byte) (int, error) {
	n, err := t.out.Read(b)
	if errors.Is(err, io.EOF) && !t.ended {
		t.ended = true
		if failed := <-t.done; failed != nil {
			return n, failed
		}
	}
	return n, err
}

func (t *squashTar) Close() error {
	t.cancel()
	err := t.out.Close()
	if !t.ended {
		t.ended = true
		<-t.done
	}
	return errors.Join(err, t.said.Close())
}

// complaint is the beginning of what the program said, on one line.
func complaint(f *os.File) string {
	b := make([]byte, 500)
	n, _ := f.ReadAt(b, 0)
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(b[:n]), "?")), " ")
	if text == "" {
		return ""
	}
	return ": " + text
}
