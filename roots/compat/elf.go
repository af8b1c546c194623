// Package compat says whether a runtime's own packages can run on a base that
// they were not built on: it collects what their ELF files and scripts need
// that they do not bring themselves, and looks for it in the base.
//
// What it proves is what the dynamic linker would look for at start: every
// needed library with every symbol version, and every script's interpreter.
// Libraries that a program opens by name later are not seen.
package compat

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// ABI tells libraries of one soname apart that cannot serve each other:
// machine and word size, "x86_64/64".
type ABI string

// binary is what the dynamic linker reads in one ELF file.
type binary struct {
	abi     ABI
	soname  string
	needed  []need
	defines []string // symbol versions, sorted
	search  []string // RPATH and RUNPATH entries as they stand
}

// need is a library by its soname, with the symbol versions wanted of it.
type need struct {
	Library  string   `json:"library"`
	Versions []string `json:"versions,omitempty"`
}

// maxNames bounds the lists of one ELF file; the largest seen in a
// distribution have a few hundred.
const maxNames = 4096

// errNotDynamic says that a file asks nothing of a dynamic linker.
var errNotDynamic = errors.New("not a dynamic ELF file")

// readLibrary closes f after reading what it defines; ok is false when it is
// no library that programs of abi can use.
func readLibrary(f *os.File, abi ABI) (defines []string, ok bool, err error) {
	defer f.Close()
	b, err := readELF(f)
	if errors.Is(err, errNotDynamic) || err == nil && b.abi != abi {
		return nil, false, nil
	}
	return b.defines, err == nil, err
}

// readELF reads r, which need not be an ELF file at all: errNotDynamic then.
func readELF(r io.ReaderAt) (binary, error) {
	var b binary
	var magic [4]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil || !bytes.Equal(magic[:], []byte(elf.ELFMAG)) {
		return b, errNotDynamic
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return b, fmt.Errorf("%w: %v", errNotDynamic, err)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return b, errNotDynamic
	}
	b.abi = abiOf(f)
	needed, err := f.DynString(elf.DT_NEEDED)
	if err != nil {
		// A file without a dynamic section is static.
		return b, errNotDynamic
	}
	if names, err := f.DynString(elf.DT_SONAME); err == nil && len(names) > 0 {
		b.soname = names[0]
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		if paths, err := f.DynString(tag); err == nil {
			for _, p := range paths {
				b.search = append(b.search, strings.Split(p, ":")...)
			}
		}
	}
	if len(needed) > maxNames || len(b.search) > maxNames {
		return b, fmt.Errorf("ELF file with %d needed libraries: at most %d are read", len(needed), maxNames)
	}
	versions := map[string][]string{}
	if vn, err := f.DynamicVersionNeeds(); err == nil {
		for _, v := range vn {
			for _, dep := range v.Needs {
				// A weak need is one that the program can do without.
				if dep.Flags&elf.VER_FLG_WEAK == 0 {
					versions[v.Name] = append(versions[v.Name], dep.Dep)
				}
			}
		}
	}
	for _, n := range needed {
		v := versions[n]
		slices.Sort(v)
		b.needed = append(b.needed, need{Library: n, Versions: slices.Compact(v)})
	}
	if vd, err := f.DynamicVersions(); err == nil {
		for _, v := range vd {
			b.defines = append(b.defines, v.Name)
		}
	}
	slices.Sort(b.defines)
	b.defines = slices.Compact(b.defines)
	return b, nil
}

func abiOf(f *elf.File) ABI {
	bits := "64"
	if f.Class == elf.ELFCLASS32 {
		bits = "32"
	}
	return ABI(strings.ToLower(strings.TrimPrefix(f.Machine.String(), "EM_")) + "/" + bits)
}

// searchDirs expands the search entries of the file at name, a path relative
// to the root, to clean relative directories. Entries that only the linker can
// expand ($LIB, $PLATFORM) are left out.
func (b binary) searchDirs(name string) []string {
	var dirs []string
	for _, s := range b.search {
		s = strings.NewReplacer("${ORIGIN}", "/"+path.Dir(name), "$ORIGIN", "/"+path.Dir(name)).Replace(s)
		if s == "" || strings.Contains(s, "$") || !strings.HasPrefix(s, "/") {
			continue
		}
		dirs = append(dirs, strings.TrimPrefix(path.Clean(s), "/"))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// interpreter returns the program that a script's first line names, "" when r
// is not a script. For "/usr/bin/env X" that is env: what X is decides PATH.
func interpreter(r io.ReaderAt) string {
	var head [256]byte
	n, _ := r.ReadAt(head[:], 0)
	line, found := bytes.CutPrefix(head[:n], []byte("#!"))
	if !found {
		return ""
	}
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	} else if n == len(head) {
		return "" // longer than the kernel reads
	}
	fields := strings.Fields(string(line))
	if len(fields) == 0 || !strings.HasPrefix(fields[0], "/") {
		return ""
	}
	return strings.TrimPrefix(path.Clean(fields[0]), "/")
}
