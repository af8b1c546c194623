// Package runline reads a run command that is written plainly.
package runline

import (
	"strconv"
	"strings"
)

// Run is a run command.
type Run struct {
	Config, State, Profile, User string
	Keep, Guest                  bool
	// For is the user for whom sessiond has the session made; 0 is nobody. Nobody
	// else writes it, so it is not in the command's help.
	For     uint32
	Command []string
}

// Parse recognizes a run command that is written as programs and most people
// write it. Everything else, mistakes included, is left to the command tree,
// which understands the same and more.
func Parse(args []string) (Run, bool) {
	var r Run
	value := func(name string, into *string) bool { return flag(&args, name, into) }
	var whom string
	for seen := false; ; {
		switch {
		case len(args) == 0:
			return r, r.Profile != ""
		case value("--config", &r.Config), value("--state", &r.State):
		case !seen && args[0] == "run":
			seen, args = true, args[1:]
		case seen && args[0] == "--keep":
			r.Keep, args = true, args[1:]
		case seen && args[0] == "--guest":
			r.Guest, args = true, args[1:]
		case seen && value("--user", &r.User):
		case seen && value("--for", &whom):
			n, err := strconv.ParseUint(whom, 10, 32)
			if err != nil || n == 0 {
				return r, false
			}
			r.For = uint32(n)
		case args[0] != "" && args[0][0] == '-' && (r.Profile == "" || args[0] != "--"):
			return r, false
		case seen && r.Profile == "" && args[0] != "":
			r.Profile, args = args[0], args[1:]
		case r.Profile != "":
			if args[0] == "--" {
				args = args[1:]
			}
			r.Command = args
			return r, true
		default:
			return r, false
		}
	}
}

// flag takes a flag with its value, if that is what args begin with.
func flag(args *[]string, name string, into *string) bool {
	a := *args
	if v, ok := strings.CutPrefix(a[0], name+"="); ok {
		*into, *args = v, a[1:]
		return true
	}
	if a[0] == name && len(a) > 1 {
		*into, *args = a[1], a[2:]
		return true
	}
	return false
}
