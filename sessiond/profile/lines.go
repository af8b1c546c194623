package profile

import (
	"bytes"
	"errors"

	"ninefold/internal/tomlfile"
	"ninefold/namespaces/plan"
)

// anybody stands for the user when a profile is checked before it is known
// whom it will serve.
var anybody = plan.User{Name: "user", UID: 1000, GID: 1000, Home: "/home/user", Shell: "/bin/sh"}

func (c *checker) namespace(data []byte) {
	p := c.p
	if p.NamespaceFile != "" && p.Namespace != "" {
		c.bad("namespace_file", "namespace and namespace_file exclude each other")
		return
	}
	if p.Namespace == "" {
		return
	}
	p.lines = source{file: p.File, first: firstLine(data, c.At("namespace")), text: p.Namespace}
	if e := p.lines.check(p.Name); e != nil {
		c.errs = append(c.errs, e)
	}
}

// check reads the lines for a user that there is not.
func (s source) check(profile string) *tomlfile.Error {
	_, err := s.read(plan.Variables(profile, anybody))
	var e *plan.Error
	if !errors.As(err, &e) {
		return nil
	}
	return &tomlfile.Error{File: e.File, Position: tomlfile.Position{Line: e.Line, Col: 1}, Msg: e.Msg, Err: err}
}

// read gives the lines of s and errors that name the line of the file in which
// they stand.
func (s source) read(vars map[string]string) ([]plan.Line, error) {
	ops, err := plan.ParseLines(s.file, []byte(s.text), vars)
	if err != nil {
		var e *plan.Error
		if errors.As(err, &e) {
			moved := *e
			moved.Line += s.first - 1
			return nil, &moved
		}
		return nil, err
	}
	lines := make([]plan.Line, len(ops))
	for i, op := range ops {
		lines[i] = plan.Line{Op: op, Origin: s.origin}
	}
	return lines, nil
}

// firstLine returns the line on which the content of the string begins whose
// key stands at pos: TOML drops a newline right after """.
func firstLine(data []byte, pos tomlfile.Position) int {
	rest := data
	for range pos.Line - 1 {
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	line = bytes.TrimRight(line, " \t\r")
	if bytes.HasSuffix(line, []byte(`"""`)) || bytes.HasSuffix(line, []byte("'''")) {
		value := bytes.TrimLeft(line[bytes.IndexByte(line, '=')+1:], " \t")
		if len(value) == 3 {
			return pos.Line + 1
		}
	}
	return pos.Line
}
