package finish

import (
	"encoding/binary"
	"slices"
	"strings"
)

// ldCache is ld.so.cache in the format that glibc reads since 2.2
// (sysdeps/generic/dl-cache.h), little-endian, with the extension for
// glibc-hwcaps of 2.33.
type ldCache struct{ libs []ldEntry }

type ldEntry struct {
	soname, file, hwcap string
	flags               uint32
}

const (
	ldMagic      = "glibc-ld.so.cache1.1"
	ldHeader     = 48
	ldRecord     = 24
	ldLittle     = 2 // cache_file_new_flags_endian_little
	ldExtension  = 0xeaa42174
	ldHwcapsTag  = 1
	ldHwcapIndex = 1 << 62 // DL_CACHE_HWCAP_EXTENSION
)

func (c *ldCache) add(soname, file string, flags uint32, hwcap string) {
	c.libs = append(c.libs, ldEntry{soname, file, hwcap, flags})
}

// encode sorts as the loader's binary search wants it: by soname, falling;
// within one, hwcaps entries before plain ones. The sort is stable: an earlier
// directory wins.
func (c *ldCache) encode() []byte {
	slices.SortStableFunc(c.libs, func(a, b ldEntry) int {
		if n := compareLibraries(b.soname, a.soname); n != 0 {
			return n
		}
		if a.flags != b.flags {
			return int(b.flags) - int(a.flags)
		}
		if (a.hwcap == "") != (b.hwcap == "") {
			if a.hwcap != "" {
				return -1
			}
			return 1
		}
		return strings.Compare(a.hwcap, b.hwcap)
	})
	var hwcaps []string
	for _, l := range c.libs {
		if l.hwcap != "" {
			hwcaps = append(hwcaps, l.hwcap)
		}
	}
	slices.Sort(hwcaps)
	hwcaps = slices.Compact(hwcaps)

	le := binary.LittleEndian
	strs := &ldStrings{start: ldHeader + ldRecord*len(c.libs), at: map[string]uint32{}}
	var records []byte
	for _, l := range c.libs {
		records = le.AppendUint32(records, l.flags)
		records = le.AppendUint32(records, strs.offset(l.soname))
		records = le.AppendUint32(records, strs.offset(l.file))
		records = le.AppendUint32(records, 0)
		hw := uint64(0)
		if l.hwcap != "" {
			i, _ := slices.BinarySearch(hwcaps, l.hwcap)
			hw = ldHwcapIndex | uint64(i)
		}
		records = le.AppendUint64(records, hw)
	}
	var names []byte
	for _, h := range hwcaps {
		names = le.AppendUint32(names, strs.offset(h))
	}

	b := make([]byte, 0, strs.start+len(strs.text)+64)
	b = append(b, ldMagic...)
	b = le.AppendUint32(b, uint32(len(c.libs)))
	b = le.AppendUint32(b, uint32(len(strs.text)))
	b = append(b, ldLittle, 0, 0, 0)
	extension := (strs.start + len(strs.text) + 3) &^ 3
	if len(hwcaps) == 0 {
		extension = 0
	}
	b = le.AppendUint32(b, uint32(extension))
	b = append(b, make([]byte, 12)...)
	b = append(b, records...)
	b = append(b, strs.text...)
	if extension == 0 {
		return b
	}
	b = append(b, make([]byte, extension-len(b))...)
	b = le.AppendUint32(b, ldExtension)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint32(b, ldHwcapsTag)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, uint32(extension+8+16))
	b = le.AppendUint32(b, uint32(len(names)))
	return append(b, names...)
}

// ldStrings is the string table; offsets count from the start of the file.
type ldStrings struct {
	start int
	text  []byte
	at    map[string]uint32
}

func (s *ldStrings) offset(v string) uint32 {
	if n, ok := s.at[v]; ok {
		return n
	}
	n := uint32(s.start + len(s.text))
	s.text = append(append(s.text, v...), 0)
	s.at[v] = n
	return n
}

// compareLibraries orders names with runs of digits by their value
// (_dl_cache_libcmp): libx.so.9 before libx.so.10.
func compareLibraries(a, b string) int {
	digit := func(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }
	i, j := 0, 0
	for i < len(a) {
		switch {
		case digit(a, i) && digit(b, j):
			// The loader's own order is by value; leading zeros do not count.
			si, sj := i, j
			for digit(a, i) {
				i++
			}
			for digit(b, j) {
				j++
			}
			na, nb := strings.TrimLeft(a[si:i], "0"), strings.TrimLeft(b[sj:j], "0")
			if len(na) != len(nb) {
				return len(na) - len(nb)
			}
			if n := strings.Compare(na, nb); n != 0 {
				return n
			}
		case digit(a, i):
			return 1
		case digit(b, j):
			return -1
		case j >= len(b):
			return 1
		case a[i] != b[j]:
			return int(int8(a[i])) - int(int8(b[j]))
		default:
			i++
			j++
		}
	}
	if j < len(b) {
		return -1
	}
	return 0
}
