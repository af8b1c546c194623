package plan

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// maker makes plans out of a fuzzer's bytes.
type maker struct{ data string }

func (m *maker) n(below int) int {
	if m.data == "" {
		return 0
	}
	c := int(m.data[0])
	m.data = m.data[1:]
	return c % below
}

func (m *maker) bool() bool { return m.n(2) == 1 }

func (m *maker) number() uint32 {
	return uint32(m.n(256))<<24 | uint32(m.n(256))<<8 | uint32(m.n(256))
}

// text takes bytes as they are, so that quoting is put to the test.
func (m *maker) text() string {
	n := min(m.n(12), len(m.data))
	s := strings.ReplaceAll(m.data[:n], "\x00", "")
	m.data = m.data[n:]
	return s
}

func (m *maker) path() string {
	s := "/" + strings.Trim(strings.ReplaceAll(m.text(), ".", "'"), "/")
	return strings.ReplaceAll(strings.ReplaceAll(s, "//", "/"), "//", "/")
}

func (m *maker) target() string {
	if p := m.path(); p != "/" {
		return p
	}
	return "/-"
}

func (m *maker) flags() Flags { return Flags{m.bool(), m.bool(), m.bool(), m.bool()} }

func pick[T any](m *maker, of ...T) T { return of[m.n(len(of))] }

func (m *maker) op() Op {
	switch m.n(14) {
	case 0:
		return m.namespaces()
	case 1:
		return m.overlay()
	case 2:
		o := Mount{Type: pick(m, "tmpfs", "proc", "dev", "devpts"), Target: m.target(), Flags: m.flags()}
		if o.Type == "tmpfs" && m.bool() {
			o.Options = []string{"size=64m", "mode=1777"}
		}
		if d := m.text(); o.Type == "dev" && IsDevice(d) {
			o.Options = []string{d}
		}
		return o
	case 3:
		b := Bind{Source: m.path(), Target: m.target(), Optional: m.bool(), AsUser: m.bool(),
			Where: pick(m, Replace, Before, After), Flags: m.flags(), Origin: Origin(m.number())}
		b.Create = b.Where == Before && m.bool()
		b.Recursive = b.Where == Replace && m.bool()
		return b
	case 4:
		return Unmount{m.target()}
	case 5:
		return Chdir{m.path()}
	case 6:
		return Mkdir{m.target(), m.number() & 0o7777, m.number(), m.number()}
	case 7:
		return Link{Text: m.text() + "x", Path: m.target()}
	case 8:
		return File{Path: m.target(), Mode: m.number() & 0o7777, UID: m.number(), GID: m.number(), Content: m.text()}
	case 9:
		return ReadOnly{m.path()}
	case 10:
		i := Identity{UID: m.number(), GID: m.number()}
		for range m.n(4) {
			i.Groups = append(i.Groups, m.number())
		}
		return i
	case 12:
		return Disk{Source: m.path(), Target: m.target(), Size: MinDisk + int64(m.number()), UID: 1 + m.number()&0xffff, GID: 1 + m.number()&0xffff, Flags: m.flags()}
	case 11:
		p := Privileges{NoNewPrivs: m.bool(), Seccomp: pick(m, "", "default")}
		for range m.n(4) {
			p.Capabilities = append(p.Capabilities, pick(m, capabilities[:]...))
		}
		for range m.n(3) {
			p.Bounding = append(p.Bounding, pick(m, capabilities[:]...))
		}
		return p
	}
	if m.bool() {
		return Limit{pick(m, limitNames[:]...), pick(m, Unlimited, uint64(m.number()))}
	}
	return Environment{pick(m, "A", "_b9"), m.text()}
}

func (m *maker) namespaces() Op {
	n := Namespaces{PID: m.bool(), IPC: m.bool(), UTS: m.bool(), Cgroup: m.bool(),
		Net: pick(m, "", NetHost, NetNone), User: pick(m, "", UserHost, UserMapped, UserRange)}
	if n.User == UserRange {
		n.First = FirstRange + uint32(m.n(1000))<<16
	}
	if n.UTS {
		n.Hostname = pick(m, "", "a-1.b")
	}
	return n
}

func (m *maker) overlay() Op {
	o := Overlay{Target: m.path(), Flags: m.flags()}
	for range 1 + m.n(3) {
		l := Layer{Kind: pick(m, LayerDir, LayerUpper, LayerComposefs, LayerLoop), Source: m.path(), Sub: m.path()[1:], Origin: Origin(m.number())}
		if l.Kind != LayerDir && l.Kind != LayerUpper {
			l.Data = m.path()
		}
		if l.Kind == LayerDir && m.bool() {
			l.Without = []string{m.path()}
			l.Reader = &Reader{UID: 1000, GID: 100, Groups: []uint32{27}}
		}
		o.Lowers = append(o.Lowers, l)
	}
	if m.bool() {
		o.Upper = &Upper{Dir: pick(m, "", m.path()), Name: pick(m, "", "@"+strings.ReplaceAll(m.text(), "/", "")), Origin: Origin(m.number())}
		if o.Upper.Dir == "" {
			o.Upper.Size = int64(m.n(2)) << 30
		}
	}
	return o
}

// Every plan that is valid step by step reads back as itself.
func FuzzPrintParse(f *testing.F) {
	f.Add("\x02\x03\x08a b'c$\x07\x01\x00\x01")
	f.Add("\x05" + strings.Repeat("\x01\x02\x05'\n#\\-", 9))
	f.Add(strings.Repeat("\x08\x0b\n\\\n' ''#$=", 12))
	f.Fuzz(func(t *testing.T, data string) {
		m := &maker{data}
		p := &Plan{Class: pick(m, "", Trusted, Untrusted)}
		for range m.n(20) {
			op := m.op()
			if checkOp(op) == nil { // e.g. a path below /proc
				p.Ops = append(p.Ops, op)
			}
		}
		text := Print(p)
		back, err := Parse("f", []byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if !reflect.DeepEqual(back, p) {
			t.Fatalf("%#v\nreads back as\n%#v\nfrom\n%s", p, back, text)
		}
		for _, op := range p.Ops {
			if n := len(PrintOp(op)); n > textBound(op) {
				t.Fatalf("bound %d of\n%s", textBound(op), PrintOp(op))
			}
		}
	})
}

// Whatever is read prints in a form that is read to the same.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.ns")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("ninefold 1\nbind -abc?'x' /a /b origin=7 # x\n\\\nuser 1 \\\n2\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("f", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("error without a place: %v", err)
			}
			return
		}
		first := Print(p)
		if len(first) > MaxText {
			return
		}
		back, err := Parse("f", []byte(first))
		if err != nil {
			t.Fatalf("%v in\n%s", err, first)
		}
		if !reflect.DeepEqual(back, p) || Print(back) != first {
			t.Fatalf("not stable:\n%s\n%s", first, Print(back))
		}
	})
}

func FuzzParseLines(f *testing.F) {
	f.Add("bind -b $home/bin /usr/bin\nfile /etc/motd 'a ''b'' c\n' mode=0600\nenv A ${user}x")
	f.Add("ninefold 1\nmount -sd tmpfs /a size=5% mode=0700\nlink a /b")
	vars := Variables("p", alice)
	f.Fuzz(func(t *testing.T, text string) {
		ops, err := ParseLines("f", []byte(text), vars)
		if err != nil {
			return
		}
		for _, op := range ops {
			back, err := ParseLines("f", []byte(PrintOp(op)), nil)
			if err != nil || len(back) != 1 || !reflect.DeepEqual(back[0], op) {
				t.Fatalf("%#v reads back as %#v, %v", op, back, err)
			}
		}
	})
}
