package machine

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// LoginGreetd logs user in by greetd, and returns when logind knows the session.
func (m *Machine) LoginGreetd(ctx context.Context, user, password string, command, environment []string) error {
	if err := m.GreetGreetd(ctx, user, password, command, environment); err != nil {
		return err
	}
	_, err := m.SeatSession(ctx, user)
	return err
}

// GreetGreetd does what a greeter of greetd's would for user, over its socket
// (greetd-ipc(7)), and ends as that. command and environment are what the greeter
// hands over: the words of an entry's Exec, and the session's name and type. The
// machine has to be of the set Greeters.
func (m *Machine) GreetGreetd(ctx context.Context, user, password string, command, environment []string) error {
	const greeter = "sleep 86399" // nothing to see: the test is the greeter
	config := "[terminal]\nvt = \"none\"\n\n[default_session]\ncommand = \"" + greeter + "\"\nuser = \"_greetd\"\n"
	if err := m.Write(ctx, "/etc/greetd/config.toml", config); err != nil {
		return err
	}
	// It may be started five times in half a minute, its own starts after each session included.
	const start = "rm -f /run/greetd.run; systemctl reset-failed greetd.service; systemctl restart greetd.service"
	if err := done(m.Run(ctx, "sh", "-c", start)); err != nil {
		return err
	}
	c, err := m.greetd(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	// The socket is there before the greeter, without which there is nothing to end below.
	const wait = `until pgrep -u _greetd -f "^$0" >/dev/null; do sleep 0.1; done`
	if err := done(m.Run(ctx, "timeout", strconv.Itoa(int(greeterTime.Seconds())), "sh", "-c", wait, greeter)); err != nil {
		return err
	}
	if err := greet(c, user, password, command, environment); err != nil {
		return err
	}
	// The session begins when the greeter has ended.
	return done(m.Run(ctx, "pkill", "-u", "_greetd", "-f", "^"+greeter))
}

// greetd connects to greetd's socket from outside of the machine.
func (m *Machine) greetd(ctx context.Context) (net.Conn, error) {
	pattern := filepath.Join("/proc", strconv.Itoa(m.leader), "root/run/greetd-*.sock")
	var last error
	for end := time.Now().Add(greeterTime); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		found, _ := filepath.Glob(pattern)
		for _, name := range found {
			c, err := net.Dial("unix", name)
			if err == nil {
				return c, c.SetDeadline(time.Now().Add(greeterTime))
			}
			last = err // of a daemon before
		}
	}
	return nil, fmt.Errorf("greetd has no socket: %w", errors.Join(last, ctx.Err()))
}

// greet has the conversation of a login.
func greet(c net.Conn, user, password string, command, environment []string) error {
	r, err := say(c, map[string]any{"type": "create_session", "username": user})
	for ; err == nil && r.Type == "auth_message"; r, err = say(c, map[string]any{"type": "post_auth_message_response", "response": password}) {
		if r.Kind != "secret" {
			return fmt.Errorf("greetd asks %q", r.Message)
		}
	}
	if err == nil && r.Type == "success" {
		r, err = say(c, map[string]any{"type": "start_session", "cmd": command, "env": environment})
	}
	if err == nil && r.Type != "success" {
		err = fmt.Errorf("greetd answers %+v", r)
	}
	return err
}

type greeting struct {
	Type        string `json:"type"`
	Kind        string `json:"auth_message_type"`
	Message     string `json:"auth_message"`
	Error       string `json:"error_type"`
	Description string `json:"description"`
}

// say sends a message and returns the answer: JSON after its length, in the
// machine's byte order.
func say(c net.Conn, message any) (r greeting, err error) {
	b, err := json.Marshal(message)
	if err != nil {
		return r, err
	}
	if _, err := c.Write(append(binary.NativeEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
		return r, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return r, err
	}
	answer, err := io.ReadAll(io.LimitReader(c, int64(binary.NativeEndian.Uint32(size[:]))))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(answer, &r)
}

// EntryCommand are the words of the Exec of a session entry of the machine.
func (m *Machine) EntryCommand(ctx context.Context, file string) ([]string, error) {
	r := m.Run(ctx, "sed", "-n", "s/^Exec=//p", file)
	if !r.OK() || strings.TrimSpace(r.Stdout) == "" {
		return nil, fmt.Errorf("no Exec in %s: %s", file, r)
	}
	return strings.Fields(r.Stdout), nil
}
