package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// factsVersion changes when Facts would hold something else for the same
// package.
const factsVersion = 1

// Facts are what one package needs and provides. They depend on nothing but
// the package, so they are kept by its digest.
type Facts struct {
	Version   int       `json:"version"`
	Libraries []Library `json:"libraries,omitempty"`
	Needs     []Need    `json:"needs,omitempty"`
	// Interpreters are relative paths that the package's scripts start with,
	// each with one script that does.
	Interpreters map[string]string `json:"interpreters,omitempty"`
	// Dirs are directories that the package adds to the linker's search.
	Dirs []string `json:"dirs,omitempty"`
}

// Library is a shared object that others may need.
type Library struct {
	ABI ABI `json:"abi"`
	// Dir is the directory it lies in, relative to the root.
	Dir string `json:"dir"`
	// Names are its soname and its file name.
	Names    []string `json:"names"`
	Versions []string `json:"versions,omitempty"`
}

// Need is what the ELF files of one directory with one search path need of one
// library.
type Need struct {
	ABI     ABI      `json:"abi"`
	Library string   `json:"library"`
	Version []string `json:"versions,omitempty"`
	// File is one file that needs it.
	File   string   `json:"file"`
	Search []string `json:"search,omitempty"`
}

// Objects opens file content by its digest.
type Objects interface {
	Object(pkg.Digest) (*os.File, error)
}

// FactsOf reads every program, library and script of p.
func FactsOf(p *pkg.Package, objects Objects) (*Facts, error) {
	f := &Facts{Version: factsVersion}
	needs := map[string]*Need{}
	for i := range p.Entries {
		e := &p.Entries[i]
		if e.Kind != pkg.File || e.Size < 4 || e.Link != "" {
			continue
		}
		conf := isLinkerConf(e.Path)
		if !conf && e.Mode&0o111 == 0 && !strings.Contains(path.Base(e.Path), ".so") {
			continue
		}
		if err := f.read(e, objects, conf, needs); err != nil {
			return nil, fmt.Errorf("read what %s %s needs: %s: %w", p.Name, p.Version, e.Path, err)
		}
	}
	for _, n := range needs {
		slices.Sort(n.Version)
		n.Version = slices.Compact(n.Version)
		f.Needs = append(f.Needs, *n)
	}
	slices.SortFunc(f.Needs, func(a, b Need) int { return strings.Compare(a.key(), b.key()) })
	slices.Sort(f.Dirs)
	f.Dirs = slices.Compact(f.Dirs)
	return f, nil
}

func (f *Facts) read(e *pkg.Entry, objects Objects, conf bool, needs map[string]*Need) error {
	r, err := objects.Object(e.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	if conf {
		dirs, err := linkerConf(r)
		f.Dirs = append(f.Dirs, dirs...)
		return err
	}
	if in := interpreter(r); in != "" {
		if f.Interpreters == nil {
			f.Interpreters = map[string]string{}
		}
		if _, seen := f.Interpreters[in]; !seen {
			f.Interpreters[in] = e.Path
		}
		return nil
	}
	b, err := readELF(r)
	if errors.Is(err, errNotDynamic) {
		return nil
	}
	if err != nil {
		return err
	}
	if b.soname != "" || strings.Contains(path.Base(e.Path), ".so") {
		names := []string{path.Base(e.Path)}
		if b.soname != "" && b.soname != names[0] {
			names = append(names, b.soname)
		}
		f.Libraries = append(f.Libraries, Library{ABI: b.abi, Dir: path.Dir(e.Path), Names: names, Versions: b.defines})
	}
	for _, n := range b.needed {
		want := Need{ABI: b.abi, Library: n.Library, File: e.Path, Search: b.searchDirs(e.Path)}
		have := needs[want.key()]
		if have == nil {
			have = &want
			needs[want.key()] = have
		}
		have.Version = append(have.Version, n.Versions...)
	}
	return nil
}

// key is equal for needs that are looked for in the same places.
func (n Need) key() string {
	return strings.Join([]string{n.Library, string(n.ABI), path.Dir(n.File), strings.Join(n.Search, ":")}, "\x00")
}

// isLinkerConf reports whether ldconfig reads name.
func isLinkerConf(name string) bool {
	return name == "etc/ld.so.conf" || path.Dir(name) == "etc/ld.so.conf.d" && strings.HasSuffix(name, ".conf")
}

// linkerConf returns the directories that a file in the form of ld.so.conf(5)
// names. Include lines are not followed: the files they name are packages'
// own.
func linkerConf(r io.Reader) ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		for _, d := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n:,", r) }) {
			if strings.HasPrefix(d, "/") {
				dirs = append(dirs, strings.TrimPrefix(path.Clean(d), "/"))
			}
		}
	}
	return dirs, nil
}

// Encode returns f as it is kept.
func (f *Facts) Encode() ([]byte, error) { return json.Marshal(f) }

// DecodeFacts reads what Encode wrote. Facts of another version are an error:
// they are made anew.
func DecodeFacts(b []byte) (*Facts, error) {
	f := new(Facts)
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("read compatibility facts: %w", err)
	}
	if f.Version != factsVersion {
		return nil, fmt.Errorf("read compatibility facts: version %d, want %d", f.Version, factsVersion)
	}
	return f, nil
}
