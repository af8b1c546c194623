package deb

import (
	"archive/tar"
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestMalformedData(t *testing.T) {
	device := member{tar.Header{Name: "./dev/sda", Typeflag: tar.TypeBlock, Mode: 0o600, Devmajor: 8}, ""}
	otherMode := dir("./a/")
	otherMode.Mode = 0o700
	for name, c := range map[string]struct {
		members []member
		say     string
	}{
		"dotdot":                       {[]member{reg("./usr/../../etc/passwd", "x")}, `".." component`},
		"absolute":                     {[]member{reg("/etc/passwd", "x")}, "absolute"},
		"absolute after a dot":         {[]member{reg(".//etc/passwd", "x")}, "absolute"},
		"double slash":                 {[]member{reg("./etc//passwd", "x")}, "two in a row"},
		"deep":                         {[]member{reg(strings.Repeat("a/", 100000)+"f", "x")}, "bytes"},
		"long component":               {[]member{reg("./"+strings.Repeat("a", 300), "x")}, "component"},
		"device":                       {[]member{device}, "device"},
		"file twice":                   {[]member{reg("./a", "x"), reg("./a", "x")}, "two entries"},
		"file twice through merging":   {[]member{reg("./bin/a", "x"), reg("./usr/bin/a", "y")}, "two entries"},
		"directory twice":              {[]member{dir("./a/"), otherMode}, "listed twice"},
		"file and directory":           {[]member{reg("./a", "x"), dir("./a/")}, "two entries"},
		"below a symbolic link":        {[]member{sym("./a", "/etc"), reg("./a/passwd", "x")}, "no directory"},
		"below a link, link last":      {[]member{reg("./a/passwd", "x"), sym("./a", "/etc")}, "no directory"},
		"below a merged link":          {[]member{sym("./lib/x", "/etc"), reg("./usr/lib/x/passwd", "x")}, "no directory"},
		"below a file":                 {[]member{reg("./a", "x"), reg("./a/b", "x")}, "no directory"},
		"hard link outside":            {[]member{hard("./a", "../etc/shadow")}, ".."},
		"absolute hard link":           {[]member{hard("./a", "/etc/shadow")}, "absolute"},
		"hard link to nothing":         {[]member{hard("./a", "./b")}, "does not come before"},
		"hard link to a later file":    {[]member{hard("./a", "./b"), reg("./b", "x")}, "does not come before"},
		"hard link to a directory":     {[]member{dir("./b/"), hard("./a", "./b")}, "no file"},
		"hard link to the root":        {[]member{hard("./a", "./")}, "root"},
		"root as a link":               {[]member{sym(".", "/etc")}, "root"},
		"other link in merged place":   {[]member{sym("./lib64", "usr/lib")}, "merged /usr"},
		"file in merged place":         {[]member{reg("./bin", "x"), reg("./bin/sh", "x")}, "no directory"},
		"unknown kind":                 {[]member{{tar.Header{Name: "./a", Typeflag: '7'}, ""}}, "unknown kind"},
		"overlay attribute":            {[]member{{tar.Header{Name: "./a", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/x"}}, ""}}, "attribute"},
		"sysusers that cannot be read": {[]member{reg("./usr/lib/sysusers.d/x.conf", strings.Repeat("#", 200000))}, "sysusers.d"},
	} {
		_, _, err := convertBytes(makeDeb(t, c.members), Options{})
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(err.Error(), "package demo 1.0-1") || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %q does not name the package and %q", name, err, c.say)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("%s: message of %d bytes", name, len(err.Error()))
		}
	}
}

func TestSparseIsRefused(t *testing.T) {
	b := tarBytes(t, reg("./sparse", strings.Repeat("x", 512)))
	b[156] = tar.TypeGNUSparse
	copy(b[257:265], "ustar  \x00") // the GNU form
	var sum int
	copy(b[148:156], "        ")
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:156], octal(sum))
	_, _, err := convertBytes(arBytes(arPart{"debian-binary", []byte("2.0\n")}, arPart{"control.tar", controlTar(t)}, arPart{"data.tar", b}), Options{})
	if !errors.Is(err, ErrMalformed) {
		t.Errorf("old GNU form: %v", err)
	}
}

func octal(n int) string {
	var b []byte
	for i := 5; i >= 0; i-- {
		b = append(b, byte('0'+n>>(3*i)&7))
	}
	return string(append(b, 0, ' '))
}

func TestMalformedArchive(t *testing.T) {
	version, control, data := arPart{"debian-binary", []byte("2.0\n")}, arPart{"control.tar", controlTar(t)}, arPart{"data.tar", tarBytes(t, reg("./a", "x"))}
	junk := append(bytes.Clone(data.data), bytes.Repeat([]byte("evil"), 128)...)
	badSize := arBytes(version, control, data)
	copy(badSize[len(arMagic)+48:], "-4        ")
	for name, b := range map[string][]byte{
		"empty":                 nil,
		"not ar":                []byte("PK\x03\x04 and so on and on"),
		"no members":            arBytes(),
		"no version":            arBytes(control, data),
		"version 3":             arBytes(arPart{"debian-binary", []byte("3.0\n")}, control, data),
		"no control":            arBytes(version, data),
		"no data":               arBytes(version, control),
		"data twice":            arBytes(version, control, data, data),
		"unknown member":        arBytes(version, control, arPart{"evil", nil}, data),
		"unknown compression":   arBytes(version, control, arPart{"data.tar.lzma", data.data}),
		"wrong compression":     arBytes(version, control, arPart{"data.tar.xz", data.data}),
		"GNU name table":        arBytes(version, arPart{"//", []byte("x/\n")}, control, data),
		"BSD long name":         arBytes(version, arPart{"#1/20", make([]byte, 20)}, control, data),
		"size that is negative": badSize,
		"bytes after the tar":   arBytes(version, control, arPart{"data.tar", junk}),
		"control without name":  arBytes(version, arPart{"control.tar", tarBytes(t, reg("./control", "Version: 1\nArchitecture: all\n"))}, data),
		"control twice":         arBytes(version, arPart{"control.tar", tarBytes(t, reg("./control", controlText), reg("./control", controlText))}, data),
		"field twice":           arBytes(version, arPart{"control.tar", tarBytes(t, reg("./control", controlText+"Package: other\n"))}, data),
		"control too large":     arBytes(version, arPart{"control.tar.gz", compress(t, ".gz", tarBytes(t, reg("./control", strings.Repeat("X: y\n", 4<<20))))}, data),
		"relative conffile":     arBytes(version, arPart{"control.tar", controlTar(t, reg("./conffiles", "etc/x\n"))}, data),
	} {
		if _, _, err := convertBytes(b, Options{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzArchive(f *testing.F) {
	f.Add(arBytes(arPart{"debian-binary", []byte("2.0\n")}, arPart{"odd", []byte("x")}))
	f.Add([]byte(arMagic + "a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := newArchive(bytes.NewReader(b))
		if err != nil {
			return
		}
		for range 100 {
			m, err := a.next()
			if err != nil {
				return
			}
			if m.name == "" || strings.ContainsAny(m.name, "/\x00") || m.size < 0 {
				t.Fatalf("member %q of %d bytes", m.name, m.size)
			}
		}
	})
}

// FuzzData feeds tar archives: whatever is accepted is a valid package.
func FuzzData(f *testing.F) {
	f.Add(tarBytes(f, dir("./bin/"), reg("./bin/a", "x"), hard("./usr/bin/b", "./bin/a"), sym("./lib/c", "../etc")))
	f.Add(tarBytes(f, member{tar.Header{Name: strings.Repeat("long/", 60) + "x", Typeflag: tar.TypeReg, Format: tar.FormatGNU}, "y"}))
	f.Add(tarBytes(f, member{tar.Header{Name: "./p", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}}, "y"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, err := convertBytes(arBytes(arPart{"debian-binary", []byte("2.0\n")}, arPart{"control.tar", controlTar(t)}, arPart{"data.tar", b}), Options{})
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUndeclared) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
