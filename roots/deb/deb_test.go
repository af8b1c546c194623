package deb

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"ninefold/roots/pkg"
	"ninefold/roots/recipe"
)

func mustConvert(t *testing.T, data []member, o Options, control ...member) (*pkg.Package, *memory) {
	t.Helper()
	p, m, err := convertBytes(makeDeb(t, data, control...), o)
	if err != nil {
		t.Fatal(err)
	}
	return p, m
}

// listing is a package as one line an entry.
func listing(p *pkg.Package) string {
	var b strings.Builder
	for _, e := range p.Entries {
		fmt.Fprintf(&b, "%c %04o %d:%d %s", "?df lcbp"[e.Kind:][0], e.Mode, e.UID, e.GID, e.Path)
		if e.Target != "" {
			b.WriteString(" -> " + e.Target)
		}
		if e.Link != "" {
			b.WriteString(" == " + e.Link)
		}
		if e.Conffile {
			b.WriteString(" conffile")
		}
		b.WriteByte('\n')
	}
	return strings.ReplaceAll(b.String(), "  0777", "l 0777")
}

func TestConvert(t *testing.T) {
	suid := reg("./usr/bin/tool", "elf")
	suid.Mode, suid.Gid, suid.Gname = 0o104755, 42, "shadow"
	p, m := mustConvert(t, []member{
		dir("./"), dir("./etc/"), reg("./etc/demo.conf", "x=1\n"), dir("./bin/"), reg("./bin/demo", "#!/bin/sh\n"),
		suid, hard("./usr/bin/a-tool", "./usr/bin/tool"), sym("./lib/demo.so", "demo.so.1"), reg("./usr/share/empty", ""),
	}, Options{}, reg("./conffiles", "/etc/demo.conf\n/etc/gone.conf\nremove-on-upgrade /etc/demo.conf.old\n"))
	want := `d 0755 0:0 etc
f 0644 0:0 etc/demo.conf conffile
d 0755 0:0 usr/bin
f 4755 0:42 usr/bin/a-tool
f 0644 0:0 usr/bin/demo
f 4755 0:42 usr/bin/tool == usr/bin/a-tool
l 0777 0:0 usr/lib/demo.so -> demo.so.1
f 0644 0:0 usr/share/empty
`
	if got := listing(p); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if p.Name != "demo" || p.Version != "1.0-1" || p.Arch != "amd64" {
		t.Errorf("package is %s %s %s", p.Name, p.Version, p.Arch)
	}
	if e := p.Entry("usr/bin/tool"); string(m.have[e.Digest]) != "elf" || e.MTime != testTime {
		t.Errorf("tool holds %q of time %d", m.have[e.Digest], e.MTime)
	}
}

func TestEveryCompressionGivesTheSamePackage(t *testing.T) {
	data := tarBytes(t, reg("./usr/share/big", strings.Repeat("some text\n", 100000)), reg("./usr/share/small", "x"))
	var want pkg.Digest
	for _, suffix := range []string{"", ".gz", ".xz", ".zst", ".bz2"} {
		t.Run("data.tar"+suffix, func(t *testing.T) {
			control := suffix
			if control == ".bz2" {
				control = ".xz"
			}
			b := arBytes(arPart{"debian-binary", []byte("2.0\n")}, arPart{"_extra", []byte("odd")},
				arPart{"control.tar" + control, compress(t, control, controlTar(t))}, arPart{"data.tar" + suffix, compress(t, suffix, data)})
			for _, o := range []Options{{}, {GoXZ: true}} {
				p, _, err := convertBytes(b, o)
				if err != nil {
					t.Fatal(err)
				}
				id, err := p.ID()
				if err != nil {
					t.Fatal(err)
				}
				if want.IsZero() {
					want = id
				}
				if id != want {
					t.Errorf("package is %s, want %s", id.Short(), want.Short())
				}
			}
		})
	}
}

func TestModificationTimes(t *testing.T) {
	old, late := reg("./a", "1"), reg("./b", "2")
	old.ModTime, late.ModTime = time.Unix(-5, 0), time.Unix(testTime+100, 999)
	old.Format = tar.FormatPAX
	p, _ := mustConvert(t, []member{old, late}, Options{MaxMTime: testTime})
	if a, b := p.Entries[0].MTime, p.Entries[1].MTime; a != 0 || b != testTime {
		t.Errorf("times are %d and %d, want 0 and %d", a, b, testTime)
	}
}

// A truncated package is refused wherever it ends.
func TestTruncated(t *testing.T) {
	for _, suffix := range []string{"", ".gz", ".xz", ".zst"} {
		whole := arBytes(arPart{"debian-binary", []byte("2.0\n")}, arPart{"control.tar.gz", compress(t, ".gz", controlTar(t))},
			arPart{"data.tar" + suffix, compress(t, suffix, tarBytes(t, reg("./a", strings.Repeat("x", 512)), reg("./b", strings.Repeat("\x00", 3000))))})
		step := max(1, len(whole)/40)
		for n := 0; n < len(whole)-1; n += step {
			p, _, err := convertBytes(whole[:n], Options{})
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("data.tar%s cut to %d of %d bytes: %v, %v", suffix, n, len(whole), p, err)
			}
		}
	}
}

// What is cut inside the compressed stream looks whole to ar.
func TestTruncatedStream(t *testing.T) {
	data := tarBytes(t, reg("./a", strings.Repeat("x", 512)), reg("./b", strings.Repeat("\x00", 512)))
	for _, suffix := range []string{"", ".gz", ".xz", ".zst"} {
		packed := compress(t, suffix, data)
		cuts := []int{len(packed) / 3, len(packed) - 1}
		if suffix == "" {
			cuts = []int{512, 1024, 1536, 2048, 2100} // between and within blocks, before the end mark
		}
		for _, n := range cuts {
			b := arBytes(arPart{"debian-binary", []byte("2.0\n")}, arPart{"control.tar", controlTar(t)}, arPart{"data.tar" + suffix, packed[:n]})
			for _, o := range []Options{{}, {GoXZ: true}} {
				if _, _, err := convertBytes(b, o); !errors.Is(err, ErrMalformed) {
					t.Errorf("data.tar%s of %d bytes cut to %d: %v", suffix, len(packed), n, err)
				}
			}
		}
	}
}

func TestDamagedXZ(t *testing.T) {
	packed := compress(t, ".xz", tarBytes(t, reg("./a", strings.Repeat("abcdefgh", 1000))))
	packed[len(packed)-20] ^= 1 // in the index
	b := arBytes(arPart{"debian-binary", []byte("2.0\n")}, arPart{"control.tar", controlTar(t)}, arPart{"data.tar.xz", packed})
	for _, o := range []Options{{}, {GoXZ: true}} {
		if _, _, err := convertBytes(b, o); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "demo 1.0-1") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestCapabilitiesAndOverrides(t *testing.T) {
	dyn := reg("./usr/lib/dyn", "d")
	dyn.Uid, dyn.Uname, dyn.Gid, dyn.Gname = 120, "demod", 0, "root"
	p, _ := mustConvert(t, []member{
		reg("./bin/ping", "elf"), hard("./bin/ping4", "./bin/ping"), reg("./usr/bin/agent", "elf"), reg("./usr/bin/man", "elf"), sym("./usr/bin/manual", "../../bin/man"), dyn,
		reg("./usr/lib/sysusers.d/demo.conf", "# users\nu demod 77:_agent \"Demo, with a blank\" /var/lib/demo\nm demod audio\ng _agent -\n"),
	}, Options{}, reg("./postinst", `#!/bin/sh
setcap cap_net_raw+ep /bin/ping4
chgrp _agent /usr/bin/agent
chmod 2755 /usr/bin/agent
chown man:man /usr/bin/man
chmod u+s /usr/bin/manual
chown demod /var/lib/not-in-the-package
adduser --system --group demod
`))
	for _, name := range []string{"usr/bin/ping", "usr/bin/ping4"} {
		if e := p.Entry(name); len(e.Xattrs) != 1 || e.Xattrs[0].Name != "security.capability" {
			t.Errorf("%s has %v", name, e.Xattrs)
		}
	}
	if e := p.Entry("usr/bin/man"); e.UID != 6 || e.GID != 12 || e.Mode != 0o4644 {
		t.Errorf("man is %d:%d %o", e.UID, e.GID, e.Mode)
	}
	if e := p.Entry("usr/lib/dyn"); e.UID != 0 {
		t.Errorf("a dynamic owner was kept: %d", e.UID)
	}
	got := fmt.Sprintf("%+v", p.Declared)
	want := "{Users:[{Name:demod UID:77 Group:_agent Home:/var/lib/demo Shell:/usr/sbin/nologin Comment:Demo, with a blank Groups:[audio]}] " +
		"Groups:[{Name:_agent GID:-1} {Name:audio GID:-1} {Name:demod GID:-1}] Alternatives:[] Diversions:[] " +
		"Overrides:[{Path:/usr/bin/agent User:root Group:_agent Mode:1517} {Path:/usr/lib/dyn User:demod Group:#0 Mode:420}] Capabilities:[]}"
	if got != want {
		t.Errorf("declared\n%s\nwant\n%s", got, want)
	}
}

func TestUndeclared(t *testing.T) {
	data := []member{reg("./usr/bin/x", "elf")}
	script := reg("./postinst", "#!/bin/sh\n\nchmod $(cat /etc/mode) /usr/bin/x\nadduser --system $(hostname)\nchmod $m /elsewhere\n")
	_, _, err := convertBytes(makeDeb(t, data, script), Options{})
	if !errors.Is(err, ErrUndeclared) {
		t.Fatalf("error is %v", err)
	}
	for _, part := range []string{"package demo 1.0-1", "postinst line 3", "postinst line 4", `add "demo" to accept`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "line 5") {
		t.Errorf("%q is about a path outside of the package", err)
	}
	if _, _, err := convertBytes(makeDeb(t, data, script), Options{Accept: []string{"demo"}}); err != nil {
		t.Errorf("accepted and still refused: %v", err)
	}
}

func TestExclude(t *testing.T) {
	data := []member{
		reg("./usr/bin/x", "1"), dir("./usr/share/doc/x/"), reg("./usr/share/doc/x/copyright", "c"), reg("./usr/share/doc/x/README", "r"),
		sym("./usr/share/doc/y", "x"), dir("./usr/share/man/"), dir("./usr/share/man/man1/"), reg("./usr/share/man/man1/x.1", "m"),
		reg("./usr/share/locale/de/LC_MESSAGES/x.mo", "de"), hard("./usr/share/locale/en_GB/LC_MESSAGES/x.mo", "./usr/share/locale/de/LC_MESSAGES/x.mo"),
		dir("./var/lib/x/"), dir("./opt/games/"), reg("./opt/games/a/b/c", "g"),
	}
	o := Options{Exclude: recipe.Exclude{Docs: true, Locales: true, Paths: []string{"opt/g*"}}}
	p, m := mustConvert(t, data, o)
	want := `f 0644 0:0 usr/bin/x
d 0755 0:0 usr/share/doc/x
f 0644 0:0 usr/share/doc/x/copyright
l 0777 0:0 usr/share/doc/y -> x
f 0644 0:0 usr/share/locale/en_GB/LC_MESSAGES/x.mo
d 0755 0:0 var/lib/x
`
	if got := listing(p); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if e := p.Entry("usr/share/locale/en_GB/LC_MESSAGES/x.mo"); string(m.have[e.Digest]) != "de" {
		t.Errorf("the hard link to a file that was left out holds %q", m.have[e.Digest])
	}
	// From a stream that cannot be read twice it is an error, not a broken file.
	_, err := Convert(context.Background(), io.MultiReader(bytes.NewReader(makeDeb(t, data))), &memory{}, o)
	if !errors.Is(err, errLinkToExcluded) {
		t.Errorf("error is %v", err)
	}
	if _, _, err := convertBytes(makeDeb(t, data), Options{Exclude: recipe.Exclude{Paths: []string{"a["}}}); err == nil {
		t.Error("a bad pattern was accepted")
	}
}

func TestCacheKey(t *testing.T) {
	keys := map[string]string{}
	for name, o := range map[string]Options{
		"plain": {}, "docs": {Exclude: recipe.Exclude{Docs: true}}, "locales": {Exclude: recipe.Exclude{Locales: true}},
		"paths": {Exclude: recipe.Exclude{Paths: []string{"a", "b"}}}, "path": {Exclude: recipe.Exclude{Paths: []string{`a" "b`}}},
		"time": {MaxMTime: 5}, "accept": {Accept: []string{"demo"}}, "devices": {Devices: true},
	} {
		k := o.CacheKey(pkg.Digest{1}, "demo")
		if other, ok := keys[k]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		keys[k] = name
	}
	same := Options{Exclude: recipe.Exclude{Paths: []string{"b", "a"}}, Accept: []string{"other"}, GoXZ: true}
	if keys[same.CacheKey(pkg.Digest{1}, "demo")] != "paths" {
		t.Error("the order of patterns, the decoder or another package's acceptance changes the key")
	}
}

type failingStore struct{ err error }

func (f failingStore) Put(context.Context, io.Reader) (pkg.Digest, int64, error) {
	return pkg.Digest{}, 0, f.err
}

func TestStoreErrorsAreNotThePackages(t *testing.T) {
	full := errors.New("no space left on device")
	for _, suffix := range []string{"", ".xz"} {
		b := arBytes(arPart{"debian-binary", []byte("2.0\n")}, arPart{"control.tar", controlTar(t)},
			arPart{"data.tar" + suffix, compress(t, suffix, tarBytes(t, reg("./a", strings.Repeat("x", 1<<20))))})
		_, err := Convert(context.Background(), bytes.NewReader(b), failingStore{full}, Options{})
		if !errors.Is(err, full) || errors.Is(err, ErrMalformed) {
			t.Errorf("data.tar%s: %v", suffix, err)
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Convert(ctx, bytes.NewReader(makeDeb(t, []member{reg("./a", "x")})), &memory{}, Options{})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrMalformed) {
		t.Errorf("error is %v", err)
	}
}
