// Package host is the asking side of the broker: sessionctl host, and the
// commands of other names that are links to it.
package host

import (
	"fmt"
	"path/filepath"
	"strings"

	"ninefold/cmd/internal/exit"
)

// Options are the command line of sessionctl host.
type Options struct {
	User, In string
	// Detach, Explain and NoAsk are as in wire.Request.
	Detach, Explain, NoAsk bool
	// NoTTY relays no terminal.
	NoTTY bool
	// Shim is the name of a command to make; "" runs one.
	Shim string
	Help bool
	// Command is what to run; empty is a shell.
	Command []string
	// File is the number of an argument that has to be the same file on the
	// host; 0 is none.
	File uint32
}

// Help prints what sessionctl host understands.
func Help(to Stdio) error {
	_, err := to.Out.WriteString(help)
	return err
}

const help = `Run a command on the host, if the host policy allows it

` + usage + `
       sessionctl host --shim NAME

  -u, --user NAME   run as NAME on the host (default root)
      --in ID       run in another view or session of yours instead of on the host
      --detach      print the unit's name, and let the command live on without you
      --no-ask      ask nobody: where the policy says ask, it is denied
  -T, --no-tty      give the command no terminal
      --explain     say which rule decides and what would be started, and start nothing
      --shim NAME   make a command in ~/.local/bin that runs the host's NAME

Without CMD it is a login shell. The exit status is the command's, or 128 plus
the signal that ended it. See host.policy(5).
`

const usage = "usage: sessionctl host [--user NAME] [--in VIEW|SESSION] [--detach] [--no-ask] [--no-tty] [--explain] [-- CMD ARG...]"

// Parse reads the words after "host". Options end at the first word that is
// none: everything from there on belongs to the command.
func Parse(args []string) (o Options, err error) {
	for len(args) > 0 {
		name, value, hasValue := strings.Cut(args[0], "=")
		var text *string
		var flag *bool
		switch name {
		case "--user", "-u":
			text = &o.User
		case "--in":
			text = &o.In
		case "--shim":
			text = &o.Shim
		case "--detach":
			flag = &o.Detach
		case "--explain":
			flag = &o.Explain
		case "--no-ask":
			flag = &o.NoAsk
		case "--no-tty", "-T":
			flag = &o.NoTTY
		case "--help", "-h":
			flag = &o.Help
		case "--":
			o.Command = args[1:]
			return o, o.check()
		default:
			if strings.HasPrefix(args[0], "-") {
				return o, exit.Usagef("write -- before a command that begins with a dash; "+usage, "host: unknown option %q", args[0])
			}
			o.Command = args
			return o, o.check()
		}
		args = args[1:]
		switch {
		case flag != nil && hasValue:
			return o, exit.Usagef(usage, "host: %s takes no value", name)
		case flag != nil:
			*flag = true
			continue
		case !hasValue && len(args) == 0:
			return o, exit.Usagef(usage, "host: %s needs a value", name)
		case !hasValue:
			value, args = args[0], args[1:]
		}
		if value == "" || *text != "" {
			return o, exit.Usagef(usage, "host: %s is to be given one value, once", name)
		}
		*text = value
	}
	return o, o.check()
}

func (o Options) check() error {
	switch {
	case o.Help:
		return nil
	case o.Shim != "" && (len(o.Command) > 0 || o.Shim != filepath.Base(o.Shim) || strings.HasPrefix(o.Shim, "-") || o.Shim == "." || o.Shim == ".."):
		return exit.Usagef("as in: sessionctl host --shim flatpak", "host: --shim takes the name of one command, and nothing runs")
	case len(o.Command) > 0 && o.Command[0] == "":
		return exit.Usagef(usage, "host: the command has an empty name")
	case o.In != "" && (o.User != "" || o.Detach):
		return exit.Usagef(usage, "host: a command in another session of yours is yours, and ends with you: neither --user nor --detach goes with --in")
	case o.Detach && len(o.Command) == 0:
		return exit.Usagef(usage, "host: --detach needs a command")
	}
	return nil
}

// Called returns the options for a program that is not called sessionctl: a
// link that --shim made, or host-open. ok is false for sessionctl itself.
func Called(argv0 string, args []string) (o Options, ok bool, err error) {
	name := filepath.Base(argv0)
	switch name {
	case "sessionctl", "ninefold-ctl", "ninefold-host", ".", "/":
		return o, false, nil
	case "host-open":
		o, err = open(args)
		return o, true, err
	}
	return Options{Command: append([]string{name}, args...)}, true, nil
}

func errf(code exit.Code, hint, format string, args ...any) error {
	return &exit.Error{Code: code, Hint: hint, Err: fmt.Errorf(format, args...)}
}
