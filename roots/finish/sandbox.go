package finish

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
)

// Sandbox runs commands over the tree: as root of namespaces of their own,
// without network, with an environment built from nothing.
type Sandbox interface {
	// Run executes the commands one after another, over the packages with the
	// directories below on top (topmost first), and leaves what they changed in
	// upper/upper as overlayfs writes it. The first command that fails ends it
	// with an error that holds the end of what it said.
	Run(ctx context.Context, below []string, upper string, commands []Command) error
	// Temp makes a directory on a file system that can hold an overlay's
	// upper, and what removes it.
	Temp() (dir string, remove func(), err error)
}

// Command is one program to run in a Sandbox.
type Command struct {
	Argv []string
	// Env is added to the sandbox's own: "NAME=value".
	Env []string
	// Stdout takes what the program prints; nil drops it.
	Stdout *os.File
}

// sandboxed keeps what the steps of one run share: the directory that shows
// the results so far to the tools.
type sandboxed struct {
	sandbox Sandbox
	mu      sync.Mutex
	dir     string
	remove  func()
	shown   map[string]pkg.Entry // what lies in dir/below
}

func (s *sandboxed) close() {
	if s.remove != nil {
		s.remove()
	}
}

// tool is a command of a step and where its output goes.
type tool struct {
	argv []string
	env  []string
	to   string // the path that its standard output becomes; "" drops it
	// seed are files that the tool finds and that no image has.
	seed map[string]string
	// hide are files of the tree that the tool does not find.
	hide []string
}

// errNoSandbox says that a step needs a tool and there is no way to run it.
var errNoSandbox = errors.New("no sandbox to run a tool of the image in")

// do runs the tools over view and gives each change that keep accepts to out.
func (s *sandboxed) do(j *job, tools []tool, keep func(p string) bool) error {
	if s == nil || s.sandbox == nil {
		return errNoSandbox
	}
	if err := s.show(j.view); err != nil {
		return err
	}
	upper, err := os.MkdirTemp(s.dir, "step")
	if err != nil {
		return err
	}
	defer os.RemoveAll(upper)
	var commands []Command
	var outputs []*os.File
	defer func() {
		for _, f := range outputs {
			f.Close()
		}
	}()
	for _, t := range tools {
		c := Command{Argv: t.argv, Env: t.env}
		if t.to != "" {
			f, err := os.CreateTemp(s.dir, "stdout")
			if err != nil {
				return err
			}
			outputs = append(outputs, f)
			os.Remove(f.Name())
			c.Stdout = f
		}
		commands = append(commands, c)
	}
	below := []string{filepath.Join(s.dir, "below")}
	if seed, err := plant(upper, tools); err != nil {
		return err
	} else if seed != "" {
		below = append([]string{seed}, below...)
	}
	if err := s.sandbox.Run(j.ctx, below, upper, commands); err != nil {
		return err
	}
	changed, err := harvest(j.ctx, filepath.Join(upper, "upper"), j.view, j.out.objects, keep)
	if err != nil {
		return err
	}
	for _, e := range changed {
		e.MTime = min(e.MTime, j.out.mtime)
		j.out.set(e)
	}
	i := 0
	for _, t := range tools {
		if t.to == "" {
			continue
		}
		f := outputs[i]
		i++
		if _, err := f.Seek(0, 0); err != nil {
			return err
		}
		if err := j.out.stream(pkg.Entry{Path: t.to, Kind: pkg.File, Mode: 0o644}, f); err != nil {
			return err
		}
	}
	return nil
}

// plant writes the tools' seeds into a directory of their own.
func plant(dir string, tools []tool) (string, error) {
	root := ""
	for _, t := range tools {
		for _, p := range t.hide {
			root = filepath.Join(dir, "seed")
			at := filepath.Join(root, p)
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				return "", err
			}
			if err := unix.Mknod(at, unix.S_IFCHR, 0); err != nil {
				return "", err
			}
		}
		for p, text := range t.seed {
			root = filepath.Join(dir, "seed")
			at := filepath.Join(root, p)
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				return "", err
			}
			if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
				return "", err
			}
		}
	}
	return root, nil
}

// show brings dir/below up to what the steps so far made.
func (s *sandboxed) show(v *View) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		dir, remove, err := s.sandbox.Temp()
		if err != nil {
			return err
		}
		s.dir, s.remove, s.shown = dir, remove, map[string]pkg.Entry{}
		if err := os.Mkdir(filepath.Join(dir, "below"), 0o755); err != nil {
			return err
		}
	}
	m := materialiser{root: filepath.Join(s.dir, "below"), view: v, dirs: map[string]bool{}}
	fresh := map[string]bool{}
	for i := range v.over {
		e := &v.over[i]
		if was, ok := s.shown[e.Path]; ok && was.MTime == e.MTime && same(&was, e) && was.Link == e.Link && !fresh[e.Link] {
			continue
		}
		fresh[e.Path] = true
		if err := m.put(e); err != nil {
			return fmt.Errorf("show /%s to the sandbox: %w", e.Path, err)
		}
		s.shown[e.Path] = *e
	}
	return m.finish()
}
