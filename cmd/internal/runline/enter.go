package runline

import "strings"

// Enter is a command that enters a context.
type Enter struct {
	Config, State, Name, User string
	Command                   []string
}

// ParseEnter recognizes a command that enters a context that is named, as Parse does
// a run command.
func ParseEnter(args []string) (Enter, bool) {
	var e Enter
	value := func(name string, into *string) bool { return flag(&args, name, into) }
	words := []string{"context", "enter"}
	for len(args) > 0 {
		switch {
		case value("--config", &e.Config), value("--state", &e.State):
		case len(words) > 0 && args[0] == words[0]:
			words, args = words[1:], args[1:]
		case len(words) > 0:
			return e, false
		case value("--user", &e.User):
		case args[0] == "" || args[0][0] == '-':
			return e, false
		default:
			e.Name, args = args[0], args[1:]
			if len(args) > 0 && args[0] == "--" {
				e.Command = args[1:]
				return e, true
			}
			e.Command = args
			// A dash behind the name is a mistake that is told elsewhere.
			return e, len(args) == 0 || !strings.HasPrefix(args[0], "-")
		}
	}
	return e, false
}
