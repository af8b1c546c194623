package machine

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

const patience = 40 * time.Second

var (
	asked  = regexp.MustCompile(`assword: ?$`)
	prompt = regexp.MustCompile(`[$#] $`)
	typed  = regexp.MustCompile(`(?s)BEGIN=42=\n(.*)END=([0-9]+)=`)
)

// LogIn starts a program that logs somebody in on a terminal, gives it the
// password if it asks, and returns when the shell's prompt is there.
func (m *Machine) LogIn(ctx context.Context, password string, program ...string) (*Terminal, error) {
	t, err := m.Terminal(ctx, program...)
	if err != nil {
		return nil, err
	}
	for range 2 {
		which, _, err := t.Expect(patience, asked, prompt)
		if err != nil {
			t.Close()
			return nil, fmt.Errorf("%w; shown:\n%s", err, t.Shown())
		}
		if which == 1 {
			return t, nil
		}
		if err := t.Type(password + "\n"); err != nil {
			t.Close()
			return nil, err
		}
	}
	t.Close()
	return nil, fmt.Errorf("the password is asked for twice; shown:\n%s", t.Shown())
}

// Do types one line of shell at the prompt, and returns what it printed and
// its exit status.
func (t *Terminal) Do(command string) (string, int, error) {
	// The arithmetic tells what is printed from the echo of what is typed.
	if err := t.Type("echo BEGIN=$((40+2))=; " + command + "; echo END=$?=\n"); err != nil {
		return "", -1, err
	}
	_, found, err := t.Expect(patience, typed)
	if err != nil {
		return "", -1, err
	}
	code, err := strconv.Atoi(found[2])
	if err == nil {
		_, _, err = t.Expect(patience, prompt)
	}
	return found[1], code, err
}

// typing is a whole login on a terminal: in, one command, out. Stderr is
// everything that was shown.
func (m *Machine) typing(ctx context.Context, password, command string, program ...string) Result {
	r := Result{Args: program, Code: -1}
	t, err := m.LogIn(ctx, password, program...)
	if err != nil {
		r.Err = err
		return r
	}
	defer t.Close()
	if r.Stdout, r.Code, r.Err = t.Do(command); r.Err == nil {
		if r.Err = t.Type("exit\n"); r.Err == nil {
			_, r.Err = t.Wait(patience)
		}
	}
	r.Stderr = t.Shown()
	return r
}

// Way is a way to log in.
type Way struct {
	Name string
	// Login logs the user in, runs one line of shell, and logs out. A $ in the
	// line may be expanded twice: sudo -i leaves it alone in what it quotes.
	Login func(ctx context.Context, m *Machine, user, command string) Result
}

// Ways are the ways to log in to a machine without a screen.
var Ways = []Way{
	{"ssh", func(ctx context.Context, m *Machine, user, command string) Result {
		return m.SSH(ctx, user, command)
	}},
	{"ssh-tty", func(ctx context.Context, m *Machine, user, command string) Result {
		return m.typing(ctx, user, command, "ssh", "-tt", user+"@localhost")
	}},
	{"su", func(ctx context.Context, m *Machine, user, command string) Result {
		return m.Run(ctx, "su", "-l", user, "-c", command)
	}},
	{"su-tty", func(ctx context.Context, m *Machine, user, command string) Result {
		return m.typing(ctx, user, command, "setpriv", "--reuid=nobody", "--clear-groups", "su", "-l", user)
	}},
	{"login", func(ctx context.Context, m *Machine, user, command string) Result {
		return m.typing(ctx, user, command, "login", user)
	}},
	{"sudo", func(ctx context.Context, m *Machine, user, command string) Result {
		return m.Run(ctx, "sudo", "-i", "-u", user, "sh", "-c", command)
	}},
}

// SSH runs a command by ssh to the machine's own sshd, with a key.
func (m *Machine) SSH(ctx context.Context, user, command string, options ...string) Result {
	args := append([]string{"ssh", "-o", "BatchMode=yes"}, options...)
	return m.Run(ctx, append(args, user+"@localhost", command)...)
}
