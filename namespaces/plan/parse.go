package plan

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Parse reads a namespace file as Print writes it. The name file is for
// errors, which are of type *Error. There are no variables. Parse checks each
// step by itself; Validate checks a plan as a whole.
func Parse(file string, text []byte) (*Plan, error) {
	l, err := newLexer(file, text, nil)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	words, err := l.next()
	if err == nil {
		err = l.version(words)
	}
	if err != nil {
		return nil, err
	}
	for {
		words, err := l.next()
		if err != nil || words == nil {
			return p, noPlan(p, err)
		}
		if words[0].text == "class" {
			err = p.setClass(words[1:])
		} else {
			err = p.append(words)
		}
		if err != nil {
			return nil, l.wrap(err)
		}
	}
}

// noPlan clears p when there is an error, so that nobody uses half a plan.
func noPlan(p *Plan, err error) error {
	if err != nil {
		*p = Plan{}
	}
	return err
}

func (p *Plan) append(words []word) error {
	op, err := parseOp(words, planVerbs[:])
	if err != nil {
		return err
	}
	if len(p.Ops) == MaxOps {
		return invalid("more than %d steps", MaxOps)
	}
	p.Ops = append(p.Ops, op)
	return nil
}

func (p *Plan) setClass(words []word) error {
	if p.Class != "" || len(p.Ops) > 0 {
		return invalid("class stands once, before the first step")
	}
	if len(words) != 1 {
		return invalid("class takes one word")
	}
	p.Class = Class(words[0].text)
	if p.Class != Trusted && p.Class != Untrusted {
		return invalid("unknown class %s%s", quote(words[0].text), hint(words[0].text, []string{"trusted", "untrusted"}))
	}
	return nil
}

// ParseLines reads the namespace file of a profile. It may hold only the verbs
// that people write (bind, mount, unmount, cd, mkdir, link, file, readonly,
// env), and $name stands for a variable of vars (see Variables). The first
// line may give the version. Whose the lines are is not said in them.
func ParseLines(file string, text []byte, vars map[string]string) ([]Op, error) {
	l, err := newLexer(file, text, vars)
	if err != nil {
		return nil, err
	}
	var ops []Op
	for first := true; ; first = false {
		words, err := l.next()
		if err != nil || words == nil {
			return ops, err
		}
		if words[0].text == "ninefold" && first {
			if err := l.version(words); err != nil {
				return nil, err
			}
			continue
		}
		op, err := parseOp(words, lineVerbs[:])
		if err == nil && len(ops) == MaxOps {
			err = invalid("more than %d steps", MaxOps)
		}
		if err != nil {
			return nil, l.wrap(err)
		}
		ops = append(ops, op)
	}
}

// Versioned reports whether a namespace file begins with its version, as a
// file of its own has to.
func Versioned(text []byte) bool {
	l, err := newLexer("", text, nil)
	if err != nil {
		return false
	}
	words, err := l.next()
	return err == nil && len(words) == 2 && words[0].text == "ninefold"
}

// Variables are what $name stands for in the namespace file of a profile.
func Variables(profile string, u User) map[string]string {
	return map[string]string{
		"profile": profile,
		"user":    u.Name,
		"home":    u.Home,
		"shell":   u.Shell,
		"uid":     strconv.FormatUint(uint64(u.UID), 10),
		"gid":     strconv.FormatUint(uint64(u.GID), 10),
	}
}

// version checks the first line of a file.
func (l *lexer) version(words []word) error {
	if len(words) != 2 || words[0].text != "ninefold" {
		l.start = max(l.start, 1)
		return l.fail(ErrVersion, "the first line has to be: ninefold 1")
	}
	if words[1].text != "1" {
		return l.fail(ErrVersion, "the file has version %s, and this program reads version 1", quote(words[1].text))
	}
	return nil
}

func (l *lexer) fail(err error, format string, args ...any) error {
	return l.failAt(l.start, err, format, args...)
}

func (l *lexer) failAt(line int, err error, format string, args ...any) error {
	return &Error{l.file, line, fmt.Sprintf(format, args...), err}
}

// wrap gives an error about the current line its place.
func (l *lexer) wrap(err error) error {
	kind := ErrInvalid
	if errors.Is(err, ErrForbidden) {
		kind = ErrForbidden
	}
	return l.fail(kind, "%s", strings.TrimSpace(err.Error()))
}
