// Package host is the asking side of the broker: sessionctl host, and the
// commands of other names that are links to it.
package host

import (
	"fmt"
	"os"
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
	// Guest is the profile of which Command gets a session as a guest, and nothing
	// on the host; "" is the host.
	Guest string
	// Context has Command be one of "sessionctl context".
	Context bool
	// File is the number of an argument that has to be the same file on the
	// host; 0 is none.
	File uint32
}

// apart reports whether nothing of the caller's goes along but its streams.
func (o *Options) apart() bool { return o.Guest != "" || o.Context }

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

// The names that are not those of a command: a link of any other name is the
// command of that name.
const (
	own  = "sessionctl"
	Open = "host-open"
)

// Asked returns the options of a command line, argv[0] included, that asks for a
// command on the host: of sessionctl host, or of a link that --shim made. ok is
// false for all others, help and the making of links among them.
func Asked(argv []string) (o Options, ok bool, err error) {
	if len(argv) == 0 {
		return o, false, nil
	}
	switch name := filepath.Base(argv[0]); name {
	case Open, "ninefold-ctl", ".", "/":
		return o, false, nil
	case own:
		if len(argv) < 2 || argv[1] != "host" {
			return o, false, nil
		}
		o, err = Parse(argv[2:])
		return o, err != nil || !o.Help && o.Shim == "", err
	default:
		return Options{Command: append([]string{name}, argv[1:]...)}, true, nil
	}
}

// Main runs what is asked for with the process's own streams, tells what goes
// wrong, and returns the exit status. The process ends with it.
func Main(o Options, err error) int {
	status := 0
	if err == nil {
		status, err = Run(Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, o)
	}
	if err != nil {
		code, hint := exit.Of(err, nil)
		exit.Tell(os.Stderr, own, err, hint)
		status = int(code)
	}
	return status
}

func errf(code exit.Code, hint, format string, args ...any) error {
	return &exit.Error{Code: code, Hint: hint, Err: fmt.Errorf(format, args...)}
}
