package contexts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"ninefold/roots/contexts"
)

// ErrNothingToPromote says that a context asks for no packages of its own.
var ErrNothingToPromote = errors.New("the context has no packages of its own")

// Promotion is what the machine would get of a context.
type Promotion struct {
	// Command is what installs on the machine the packages that were asked for in the
	// context, and removes those that were removed there.
	Command []string `json:"command"`
	// Left are the files that the context has changed by hand, which stay there.
	Left []contexts.FileChange `json:"left_out"`
}

// aptGet is where the machine has it.
const aptGet = "/usr/bin/apt-get"

// Promotion says what to do for the machine to get the packages of a context: those
// that were asked for, in the versions that its archives have now.
func (c *Contexts) Promotion(ctx context.Context, r contexts.Record) (p Promotion, err error) {
	fail := func(err error) (Promotion, error) {
		return p, fmt.Errorf("promote the context %s: %w", r.Name, err)
	}
	if r.Owner != 0 {
		return fail(ErrUsers)
	}
	if r.Stands.Image != "" {
		return fail(fmt.Errorf("%w: it stands on the image %s, and not on the machine", errors.ErrUnsupported, r.Stands.Named))
	}
	if _, err := os.Stat(aptGet); err != nil {
		return fail(fmt.Errorf("%w: the machine has no %s", errors.ErrUnsupported, aptGet))
	}
	d, err := c.Diff(ctx, r, false)
	if err != nil {
		return fail(err)
	}
	p.Left = d.Files
	var q contexts.Requests
	err = c.over(ctx, r, func(root string) (err error) {
		q, err = c.store.Requests(r, root)
		return err
	})
	if err != nil {
		return fail(err)
	}
	// What came along with another one comes along again.
	names := slices.DeleteFunc(q.Install, func(name string) bool { return slices.Contains(q.Auto, name) })
	if len(names) == 0 {
		return fail(ErrNothingToPromote)
	}
	p.Command = append([]string{"apt-get", "install", "--"}, names...)
	return p, nil
}

// Promote runs the command of a promotion on the machine. apt asks nobody: the
// caller has. The files stay the caller's.
func (p Promotion) Promote(ctx context.Context, stdin, stdout, stderr *os.File) (code int, err error) {
	cmd := exec.CommandContext(ctx, aptGet, append([]string{"-y"}, p.Command[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	for _, name := range []string{"LANG", "TERM", "DEBIAN_FRONTEND"} {
		if v := os.Getenv(name); v != "" && !strings.ContainsAny(v, "/\n") {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	err = cmd.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.Exited() {
		return failed.ExitCode(), nil
	}
	return 0, err
}
