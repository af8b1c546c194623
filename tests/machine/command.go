package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Result is what a command in a machine came to.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Code           int   // -1 when Err is set
	Err            error // it could not be run, or did not end in time
}

// OK reports whether the command ended with 0.
func (r Result) OK() bool { return r.Err == nil && r.Code == 0 }

func (r Result) String() string {
	end := "exit status " + strconv.Itoa(r.Code)
	if r.Err != nil {
		end = r.Err.Error()
	}
	return fmt.Sprintf("%s: %s\nstdout: %s\nstderr: %s", strings.Join(r.Args, " "), end, tail([]byte(r.Stdout)), tail([]byte(r.Stderr)))
}

// commandTime bounds every command whose context does not.
const commandTime = 60 * time.Second

var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=vt100"}

// Command prepares a command as root in the machine, in the machine's
// namespaces and in a cgroup of one of its services.
func (m *Machine) Command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nsenter", append([]string{
		"--target", strconv.Itoa(m.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--",
	}, args...)...)
	c.Env = environment
	c.WaitDelay = 2 * time.Second
	return c
}

// Run runs a command as root in the machine.
func (m *Machine) Run(ctx context.Context, args ...string) Result {
	return m.run(ctx, commandUnit, nil, args...)
}

// Input is Run with a standard input.
func (m *Machine) Input(ctx context.Context, in io.Reader, args ...string) Result {
	return m.run(ctx, commandUnit, in, args...)
}

func (m *Machine) run(ctx context.Context, unit string, in io.Reader, args ...string) (r Result) {
	r.Args, r.Code = args, -1
	l := m.launch
	if l == nil {
		r.Err = errors.New("the machine is off")
		return r
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, commandTime, fmt.Errorf("not done within %s", commandTime))
		defer cancel()
	}
	c := m.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = in, &stdout, &stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if unit != "" {
		dir, err := os.Open(l.cgroup.inside(unit))
		if err != nil {
			r.Err = err
			return r
		}
		defer dir.Close()
		c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	err := c.Run()
	r.Stdout, r.Stderr = stdout.String(), stderr.String()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		r.Err = context.Cause(ctx)
	case err == nil:
		r.Code = 0
	case errors.As(err, &exit) && exit.Exited():
		r.Code = exit.ExitCode()
	default:
		r.Err = err
	}
	return r
}
