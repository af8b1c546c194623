// Package pamstack reads what PAM runs for a service (pam.d(5)).
package pamstack

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Line is one module of a stack.
type Line struct {
	Control string   // "required", or "[success=ok default=ignore]"
	Module  string   // the file's name without its directory
	Args    []string // what the module is given
}

// Is reports whether the line runs that module with arg among its arguments;
// "" is any arguments.
func (l Line) Is(module, arg string) bool {
	return l.Module == module && (arg == "" || slices.Contains(l.Args, arg))
}

// maxIncludes bounds how deep files of pam.d include each other.
const maxIncludes = 16

// Read lists the modules of a kind ("auth", "account", "session") that PAM runs
// for a service, in order and with includes resolved. root is put before every
// path. A service without a file has none here, though PAM falls back to "other".
func Read(root, service, kind string) []Line { return read(root, service, kind, 0) }

// Has reports whether there is a file for the service.
func Has(root, service string) bool {
	_, err := os.Stat(filepath.Join(root, "/etc/pam.d", service))
	return err == nil
}

func read(root, service, kind string, depth int) []Line {
	if depth > maxIncludes || strings.Contains(service, "..") {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(root, "/etc/pam.d", service))
	if err != nil {
		b, _ = os.ReadFile(filepath.Join(root, "/usr/lib/pam.d", service))
	}
	var out []Line
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", " ")) {
		line, _, _ = strings.Cut(line, "#")
		w := strings.Fields(line)
		if len(w) == 2 && w[0] == "@include" {
			out = append(out, read(root, w[1], kind, depth+1)...)
			continue
		}
		if len(w) < 3 || strings.TrimPrefix(w[0], "-") != kind {
			continue
		}
		if w[1] == "include" || w[1] == "substack" {
			out = append(out, read(root, w[2], kind, depth+1)...)
			continue
		}
		control, rest := w[1], w[2:]
		if strings.HasPrefix(w[1], "[") {
			end := slices.IndexFunc(w[1:], func(word string) bool { return strings.HasSuffix(word, "]") })
			if end < 0 {
				continue
			}
			control, rest = strings.Join(w[1:end+2], " "), w[end+2:]
		}
		if len(rest) > 0 {
			out = append(out, Line{Control: control, Module: filepath.Base(rest[0]), Args: rest[1:]})
		}
	}
	return out
}
