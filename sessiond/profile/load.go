package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/internal/tomlfile"
	"ninefold/namespaces/plan"
)

// Set is the profiles of some directories and the built-in ones. It holds no
// state: each call looks at the disk.
type Set struct{ dirs []string }

// Load returns the profiles in dirs, *.toml each. Of two with one name that of
// the earlier directory counts, and either counts before a built-in one. A
// directory need not exist.
func Load(dirs ...string) *Set { return &Set{slices.Clone(dirs)} }

// Entry is a profile of a Set, or why it cannot be used.
type Entry struct {
	Name    string
	File    string   // empty for a built-in one
	Profile *Profile // nil with Err
	Err     error
}

const suffix = ".toml"

// Find returns the profile called name. The error is ErrNotFound, with the
// nearest name, or says what is wrong with the file.
func (s *Set) Find(name string) (*Profile, error) {
	if !IsName(name) {
		return nil, fmt.Errorf("%w: %q cannot be a name", ErrNotFound, name)
	}
	for _, dir := range s.dirs {
		p, err := LoadFile(filepath.Join(dir, name+suffix))
		var broken *Error // perhaps because a namespace file is not there
		if errors.As(err, &broken) || !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
	}
	if p := builtin(name); p != nil {
		return p, nil
	}
	names := s.Names()
	if near := tomlfile.Nearest(name, names); near != "" {
		return nil, fmt.Errorf("%w: %s; did you mean %s?", ErrNotFound, name, near)
	}
	return nil, fmt.Errorf("%w: %s; there are %s", ErrNotFound, name, strings.Join(names, ", "))
}

// Names returns the names of all profiles, sorted, without reading the files.
func (s *Set) Names() []string {
	names := []string{"guest", "host"}
	for _, dir := range s.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // a directory that cannot be read has nothing to offer; Find says why
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), suffix); ok && IsName(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// List returns all profiles by name, the broken ones too.
func (s *Set) List() []Entry {
	var entries []Entry
	for _, name := range s.Names() {
		e := Entry{Name: name}
		for _, dir := range s.dirs {
			file := filepath.Join(dir, name+suffix)
			if _, err := os.Lstat(file); err == nil {
				e.File = file
				break
			}
		}
		e.Profile, e.Err = s.Find(name)
		entries = append(entries, e)
	}
	return entries
}

func builtin(name string) *Profile {
	switch name {
	case "host":
		return host()
	case "guest":
		return guest()
	}
	return nil
}

// LoadFile reads one profile and its namespace file, determines whose they are,
// and checks both. An error about their content is of type *Error.
func LoadFile(file string) (*Profile, error) {
	data, origin, err := readOwned(file)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	p, findings, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	if p != nil {
		p.Origin = origin
		p.lines.origin = origin
		findings = append(findings, p.loadNamespace()...)
	}
	if len(findings) == 0 {
		findings = p.confined(data)
	}
	if len(findings) > 0 {
		return nil, &Error{findings}
	}
	return p, nil
}

// loadNamespace reads the namespace file that p names.
func (p *Profile) loadNamespace() tomlfile.Errors {
	if p.NamespaceFile == "" || p.Namespace != "" {
		return nil
	}
	file := p.NamespaceFile
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(p.File), file)
	}
	text, origin, err := readOwned(file)
	if err != nil {
		return tomlfile.Errors{{File: p.File, Msg: fmt.Sprintf("namespace_file: %s", err), Err: err}}
	}
	if !plan.Versioned(text) {
		return tomlfile.Errors{{File: file, Position: tomlfile.Position{Line: 1, Col: 1}, Err: ErrInvalid,
			Msg: "the first line of a namespace file has to be: ninefold 1"}}
	}
	p.lines = source{file: file, first: 1, text: string(text), origin: origin}
	if e := p.lines.check(p.Name); e != nil {
		return tomlfile.Errors{e}
	}
	return nil
}

// confined compiles p for a user that there is not, to find lines that their
// author may not write, and a home that is not for its author to keep.
func (p *Profile) confined(data []byte) tomlfile.Errors {
	if p.Home == Kept && p.Origin != 0 {
		return tomlfile.Errors{tomlfile.Index(p.File, data).Error(ErrInvalid, fmt.Sprintf("home: it takes room of the machine's, and uid %d had a hand in this profile", p.Origin), "home")}
	}
	s := plan.Spec{User: anybody, Layers: []plan.Layer{{Kind: plan.LayerDir, Source: "/"}}, HomeDisk: "/disk"}
	err := p.Fill(&s)
	if err == nil {
		_, err = plan.Compile(s)
	}
	if err == nil {
		return nil
	}
	key := "namespace"
	if p.NamespaceFile != "" {
		key = "namespace_file"
	}
	return tomlfile.Errors{tomlfile.Index(p.File, data).Error(err, err.Error(), key)}
}
