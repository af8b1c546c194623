package compat

import (
	"debug/elf"
	endian "encoding/binary"
	"fmt"
	"io"
	"path"
	"strings"

	"ninefold/roots/pkg"
)

// Level returns the highest level of x86-64 processors that a program or library of
// p says it was compiled for, 1 to 4, and which file that is; 0 when none says
// so. It is what the dynamic linker looks at: GNU_PROPERTY_X86_ISA_1_NEEDED in
// .note.gnu.property (x86-64 psABI, "Program Property").
func Level(p *pkg.Package, objects Objects) (level int, file string, err error) {
	for i := range p.Entries {
		e := &p.Entries[i]
		if e.Kind != pkg.File || e.Link != "" || e.Size < 64 || e.Mode&0o111 == 0 && !strings.Contains(path.Base(e.Path), ".so") {
			continue
		}
		f, err := objects.Object(e.Digest)
		if err != nil {
			return 0, "", fmt.Errorf("read which processor %s is for: %w", e.Path, err)
		}
		n := levelOf(f)
		f.Close()
		if n > level {
			level, file = n, e.Path
		}
	}
	return level, file, nil
}

// levelOf is 0 for anything that is no such file.
func levelOf(r io.ReaderAt) int {
	var magic [4]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil || string(magic[:]) != elf.ELFMAG {
		return 0
	}
	f, err := elf.NewFile(r)
	if err != nil || f.Machine != elf.EM_X86_64 || f.Class != elf.ELFCLASS64 {
		return 0
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_GNU_PROPERTY || p.Filesz > maxNote {
			continue
		}
		note := make([]byte, p.Filesz)
		if _, err := p.ReadAt(note, 0); err == nil {
			return needed(note)
		}
	}
	return 0
}

const (
	maxNote      = 4096
	propertyNote = 5          // NT_GNU_PROPERTY_TYPE_0
	isaNeeded    = 0xc0008002 // GNU_PROPERTY_X86_ISA_1_NEEDED
)

// needed reads a note: sizes of name and content, type, "GNU\0", and then
// properties of type, size and value, each padded to 8 bytes.
func needed(note []byte) int {
	le := endian.LittleEndian
	if len(note) < 16 || le.Uint32(note[8:]) != propertyNote || string(note[12:16]) != "GNU\x00" {
		return 0
	}
	rest := note[16:]
	if n := le.Uint32(note[4:]); uint64(n) < uint64(len(rest)) {
		rest = rest[:n]
	}
	for len(rest) >= 8 {
		kind, size := le.Uint32(rest), uint64(le.Uint32(rest[4:]))
		if uint64(len(rest)) < 8+size {
			return 0
		}
		if kind == isaNeeded && size == 4 {
			level := 0
			for mask := le.Uint32(rest[8:]) & 0xf; mask != 0; mask >>= 1 {
				level++
			}
			return level
		}
		rest = rest[min(8+(size+7)&^7, uint64(len(rest))):]
	}
	return 0
}
