package build

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/finish"
	"ninefold/roots/recipe"
)

// sandbox runs the image's own tools: as root of namespaces of its own without
// network, in a root that holds nothing of the host's, with the capabilities
// that install scripts need and no way to more.
//
// The packages that it runs are signed by keys that root trusts (or named by
// root by digest), so it has no user namespace: file owners and capabilities
// that the tools set must be the real ones.
type sandbox struct {
	layers  []plan.Layer // topmost first, without what the steps made
	initDir string       // holds ninefold-init
	// fetched holds the recipe's fetched files, "" when there are none.
	fetched string
	// epoch is SOURCE_DATE_EPOCH for tools that put a time in what they make.
	epoch int64
}

// sandboxCapabilities change owners, modes and file capabilities, and nothing
// of the machine: no mount, no device, no network, no ptrace of others.
var sandboxCapabilities = []string{
	"cap_chown", "cap_dac_override", "cap_fowner", "cap_fsetid", "cap_kill", "cap_setgid", "cap_setuid", "cap_setfcap",
}

func (s *sandbox) plan(below []string, upper string) *plan.Plan {
	inert := plan.Flags{NoSuid: true, NoDev: true}
	var lowers []plan.Layer
	for _, dir := range below {
		lowers = append(lowers, plan.Layer{Kind: plan.LayerDir, Source: dir})
	}
	lowers = append(lowers, s.layers...)
	ops := []plan.Op{
		plan.Namespaces{PID: true, IPC: true, UTS: true, Net: plan.NetNone, User: plan.UserHost, Hostname: "localhost"},
		plan.Overlay{Target: "/", Lowers: lowers, Upper: &plan.Upper{Dir: upper}, Flags: inert},
		plan.Mount{Type: "proc", Target: "/proc", Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true}},
		plan.Mount{Type: "dev", Target: "/dev", Flags: plan.Flags{NoSuid: true, NoExec: true}},
		plan.Mount{Type: "tmpfs", Target: "/dev/shm", Flags: inert, Options: []string{"mode=1777"}},
		plan.Mount{Type: "tmpfs", Target: "/run", Flags: inert, Options: []string{"mode=0755"}},
		plan.Mount{Type: "tmpfs", Target: "/tmp", Flags: inert, Options: []string{"mode=1777"}},
		plan.Bind{Source: s.initDir, Target: path.Dir(namespaces.InitPath), Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true}},
		plan.Chdir{Dir: "/"},
	}
	if s.fetched != "" {
		ops = append(ops, plan.Bind{Source: s.fetched, Target: recipe.FetchedDir, Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true, NoExec: true}})
	}
	for _, e := range [][2]string{
		{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		{"HOME", "/nonexistent"}, {"LC_ALL", "C.UTF-8"}, {"TZ", "UTC"},
		// What perl and python write in the order of a hash is the same each time.
		{"PERL_HASH_SEED", "0"}, {"PYTHONHASHSEED", "0"},
		{"DEBIAN_FRONTEND", "noninteractive"}, {"SOURCE_DATE_EPOCH", fmt.Sprint(s.epoch)},
	} {
		ops = append(ops, plan.Environment{Name: e[0], Value: e[1]})
	}
	ops = append(ops,
		plan.Privileges{Capabilities: sandboxCapabilities, NoNewPrivs: true, Seccomp: "default"},
		plan.Identity{UID: 0, GID: 0})
	return &plan.Plan{Class: plan.Trusted, Ops: ops}
}

// Run is finish.Sandbox's. The session is held open for all commands, so
// they share one root; when it has been closed nothing writes to upper any more.
func (s *sandbox) Run(ctx context.Context, below []string, upper string, commands []finish.Command) error {
	session, err := namespaces.Start(ctx, s.plan(below, upper), namespaces.Command{})
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	for _, c := range commands {
		if err = s.one(ctx, session, c); err != nil {
			break
		}
	}
	if closeErr := session.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("end the sandbox: %w", closeErr)
	}
	return err
}

func (s *sandbox) one(ctx context.Context, session *namespaces.Session, c finish.Command) error {
	said, w, err := os.Pipe()
	if err != nil {
		return err
	}
	tail := &tail{}
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = io.Copy(tail, said) })
	defer func() {
		w.Close()
		wait.Wait()
		said.Close()
	}()
	out := c.Stdout
	if out == nil {
		out = w
	}
	argv := c.Argv
	if len(c.Env) > 0 {
		argv = append(append([]string{"/usr/bin/env", "--"}, c.Env...), argv...)
	}
	run, err := session.Enter(namespaces.Command{Argv: argv, Stdout: out, Stderr: w})
	if err != nil {
		return fmt.Errorf("run %s in the sandbox: %w", c.Argv[0], err)
	}
	status, err := run.Wait()
	if closeErr := run.Close(); err == nil {
		err = closeErr
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("run %s in the sandbox: %w", c.Argv[0], err)
	}
	if status.Code == 0 {
		return nil
	}
	w.Close()
	wait.Wait()
	return fmt.Errorf("%s ended with status %d%s", strings.Join(c.Argv, " "), status.Code, tail.quote())
}

// tail keeps the end of what a command said, for the error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 2000

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text) - maxTail; n > 0 {
		t.text = append(t.text[:0], t.text[n:]...)
	}
	return len(b), nil
}

func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimSpace(t.text)
	if len(text) == 0 {
		return " and said nothing"
	}
	return ": " + strings.ReplaceAll(string(text), "\n", "; ")
}
