package finish

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// library is what ldconfig reads of a shared object.
type library struct {
	soname string
	flags  uint32
	needed []string
}

// The flags of ld.so.cache (glibc's sysdeps/generic/ldconfig.h).
const (
	flagLibc6   = 0x0003
	flagX8664   = 0x0300
	flagX32     = 0x0800
	flagAArch64 = 0x0a00
	flagARMHF   = 0x0900
	flagRISCV   = 0x1000
)

var errNotLibrary = fmt.Errorf("not a shared object")

// readLibrary reads the dynamic section of the object at p.
func readLibrary(v *View, p string) (library, error) {
	f, err := v.Open(p)
	if err != nil {
		return library{}, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil || string(magic[:]) != elf.ELFMAG {
		return library{}, errNotLibrary // a linker script or a text named *.so
	}
	e, err := elf.NewFile(f)
	if err != nil {
		return library{}, errNotLibrary
	}
	if e.Type != elf.ET_DYN {
		return library{}, errNotLibrary
	}
	var l library
	switch {
	case e.Machine == elf.EM_X86_64 && e.Class == elf.ELFCLASS64:
		l.flags = flagX8664 | flagLibc6
	case e.Machine == elf.EM_X86_64:
		l.flags = flagX32 | flagLibc6
	case e.Machine == elf.EM_AARCH64:
		l.flags = flagAArch64 | flagLibc6
	case e.Machine == elf.EM_ARM:
		l.flags = flagARMHF | flagLibc6
	case e.Machine == elf.EM_RISCV:
		l.flags = flagRISCV | flagLibc6
	case e.Machine == elf.EM_386:
		l.flags = flagLibc6
	default:
		return library{}, errNotLibrary
	}
	if l.needed, err = e.DynString(elf.DT_NEEDED); err != nil {
		return library{}, errNotLibrary // no dynamic section: separate debug information
	}
	if names, err := e.DynString(elf.DT_SONAME); err == nil && len(names) > 0 {
		l.soname = names[0]
	}
	return l, nil
}

// isLibraryName is ldconfig's filter of file names.
func isLibraryName(name string) bool {
	return (strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "ld-") || strings.HasPrefix(name, "ld.so.")) &&
		strings.Contains(name, ".so")
}

// libraryDirs returns what ldconfig searches, in order and as it names them:
// ld.so.conf with its includes, then the system's.
func libraryDirs(v *View) ([]string, error) {
	var dirs []string
	if err := readLdConf(v, "etc/ld.so.conf", &dirs, 0); err != nil {
		return nil, err
	}
	for _, d := range v.Names("usr/lib") {
		if strings.HasSuffix(d, "-linux-gnu") {
			dirs = append(dirs, "/lib/"+d, "/usr/lib/"+d)
		}
	}
	dirs = append(dirs, "/lib", "/usr/lib")
	// Of several names for one directory the first counts.
	seen := map[string]bool{}
	return slices.DeleteFunc(dirs, func(d string) bool {
		e, ok := v.Stat(d)
		gone := !ok || e.Kind != pkg.Dir || seen[e.Path]
		seen[e.Path] = true
		return gone
	}), nil
}

// maxLdConf bounds includes of includes.
const maxLdConf = 8

func readLdConf(v *View, name string, dirs *[]string, depth int) error {
	if !v.Has(name) {
		return nil
	}
	if depth > maxLdConf {
		return fmt.Errorf("/%s: more than %d includes deep", name, maxLdConf)
	}
	text, err := v.Read(name)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		s, _, _ := strings.Cut(string(line), "#")
		s = strings.TrimSpace(s)
		if pattern, ok := strings.CutPrefix(s, "include"); ok && len(pattern) > 0 && (pattern[0] == ' ' || pattern[0] == '\t') {
			pattern = strings.TrimSpace(pattern)
			if !strings.HasPrefix(pattern, "/") {
				pattern = path.Join("/", parent(name), pattern)
			}
			dir, base := path.Split(pattern)
			for _, n := range v.Names(dir) {
				if ok, _ := path.Match(base, n); ok {
					if err := readLdConf(v, strings.TrimPrefix(path.Join(dir, n), "/"), dirs, depth+1); err != nil {
						return err
					}
				}
			}
			continue
		}
		if strings.HasPrefix(s, "/") {
			*dirs = append(*dirs, path.Clean(s))
		}
	}
	return nil
}
