package script

import (
	"bytes"
	"maps"
	"strings"
)

// value is a string that may be unknown.
type value struct {
	s     string
	known bool
}

var unknown = value{}

func known(s string) value { return value{s, true} }

// answer is the outcome of a condition.
type answer int8

const (
	no answer = iota
	yes
	maybe
)

func (a answer) not() answer {
	switch a {
	case no:
		return yes
	case yes:
		return no
	}
	return maybe
}

func truth(b bool) answer {
	if b {
		return yes
	}
	return no
}

// state is what a script knows at one point: variables (debconf answers among
// them, under "debconf:" names) and positional parameters.
type state struct {
	vars map[string]value
	args []value
	// openArgs is set when there may be more or other parameters than args.
	openArgs bool
}

const debconfPrefix = "debconf:"

// newState has what dpkg sets for a script (dpkg(1), ENVIRONMENT) and the
// defaults of the package's debconf templates.
func newState(in Input) *state {
	s := &state{vars: map[string]value{
		"DPKG_ROOT":                         known(""),
		"DPKG_MAINTSCRIPT_PACKAGE":          known(in.Package),
		"DPKG_MAINTSCRIPT_ARCH":             known(in.Arch),
		"DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": known("1"),
		"DEBIAN_FRONTEND":                   known("noninteractive"),
		"DEBCONF_RECONFIGURE":               known(""),
	}}
	name := ""
	for line := range bytes.Lines(in.Templates) {
		key, rest, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
		switch rest = strings.TrimSpace(rest); {
		case !ok:
		case key == "Template":
			name = rest
			s.vars[debconfPrefix+name] = known("")
		case key == "Default" && name != "":
			s.vars[debconfPrefix+name] = known(rest)
		}
	}
	return s
}

func (s *state) onlyDebconf(in Input) *state {
	fresh := newState(Input{Package: in.Package, Arch: in.Arch})
	for k, v := range s.vars {
		if strings.HasPrefix(k, debconfPrefix) {
			fresh.vars[k] = v
		}
	}
	return fresh
}

func (s *state) clone() *state {
	return &state{vars: maps.Clone(s.vars), args: s.args, openArgs: s.openArgs}
}

// get returns a variable. One that was never set is unknown, not empty: a
// sourced file may have set it.
func (s *state) get(name string) value { return s.vars[name] }

func (s *state) set(name string, v value) { s.vars[name] = v }

// join makes s what holds after either s or other: what differs is unknown.
func (s *state) join(other *state) {
	for k, v := range s.vars {
		if other.vars[k] != v {
			delete(s.vars, k)
		}
	}
	same := len(s.args) == len(other.args)
	for i := range s.args {
		same = same && s.args[i] == other.args[i]
	}
	if !same {
		s.args, s.openArgs = nil, true
	}
	s.openArgs = s.openArgs || other.openArgs
}
