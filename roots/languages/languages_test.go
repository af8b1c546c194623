package languages

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func sri(text string) string {
	sum := sha512.Sum512([]byte(text))
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestPackageLock(t *testing.T) {
	one, other, third := sri("one"), sri("other"), sri("third")
	text := fmt.Sprintf(`{"name": "x", "lockfileVersion": 3, "packages": {
		"": {"dependencies": {"one": "1"}},
		"packages/own": {"version": "1.0.0"},
		"node_modules/own": {"resolved": "packages/own", "link": true},
		"node_modules/one": {"version": "1.0.0", "integrity": %q, "bin": {"one": "x.js"}},
		"node_modules/one/node_modules/@scope/two": {"version": "2.0.0-rc.1", "resolved": "https://registry.npmjs.org/@scope/two/-/two-2.0.0-rc.1.tgz", "integrity": "sha1-AAAA %s"},
		"node_modules/alias": {"name": "three", "version": "3.0.0", "resolved": "https://mirror.example/three.tgz", "integrity": %q},
		"node_modules/one/node_modules/one": {"version": "1.0.0", "integrity": %[1]q},
		"node_modules/mac": {"version": "1.0.0", "optional": true, "os": ["darwin"]},
		"node_modules/notlinux": {"version": "1.0.0", "optional": true, "os": ["!linux"]},
		"node_modules/musl": {"version": "1.0.0", "optional": true, "os": ["linux"], "libc": ["musl"]},
		"node_modules/bundled": {"version": "1.0.0", "inBundle": true}}}`, one, other, third)
	p, err := Read("dir/package-lock.json", []byte(text), "https://registry.example/", "/run/fetched/npm")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range p.Files {
		got[f.Package] = f.URL
		if f.Sum.Check(strings.NewReader("one"), 3) != nil && f.Sum.Check(strings.NewReader("other"), 5) != nil && f.Sum.Check(strings.NewReader("third"), 5) != nil {
			t.Errorf("%s has the hash %s", f.Package, f.Sum)
		}
	}
	if len(p.Files) != 3 {
		t.Errorf("the same file is fetched twice: %v", p.Files)
	}
	want := map[string]string{
		"one 1.0.0":             "https://registry.example/one/-/one-1.0.0.tgz",
		"@scope/two 2.0.0-rc.1": "https://registry.example/@scope/two/-/two-2.0.0-rc.1.tgz",
		"three 3.0.0":           "https://mirror.example/three.tgz",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var laid struct {
		Packages map[string]struct {
			Resolved, Integrity string
			Bin                 map[string]string
		}
	}
	if err := json.Unmarshal(p.Texts["package-lock.json"], &laid); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512([]byte("one"))
	if l := laid.Packages["node_modules/one"]; l.Resolved != fmt.Sprintf("file:/run/fetched/npm/sha512-%x.tgz", sum) || l.Integrity != one || l.Bin["one"] != "x.js" {
		t.Errorf("laid is %+v", l)
	}
	if l := laid.Packages["node_modules/own"]; l.Resolved != "packages/own" {
		t.Errorf("the project's own part is at %q", l.Resolved)
	}
}

func TestGoSum(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"example.com/Up/m@v1.2.0/go.mod", "example.com/Up/m@v1.2.0/m.go"} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte("module example.com/Up/m\n"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	h1 := func(names ...string) string {
		var list strings.Builder
		for _, n := range names {
			fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256([]byte("module example.com/Up/m\n")), n)
		}
		sum := sha256.Sum256([]byte(list.String()))
		return "h1:" + base64.StdEncoding.EncodeToString(sum[:])
	}
	text := "example.com/Up/m v1.2.0 " + h1("example.com/Up/m@v1.2.0/go.mod", "example.com/Up/m@v1.2.0/m.go") + "\nexample.com/Up/m v1.2.0/go.mod " + h1("go.mod") + "\n"
	p, err := Read("go.sum", []byte(text), "", "")
	if err != nil || len(p.Files) != 2 {
		t.Fatalf("%v, %v", p, err)
	}
	archive, mod := p.Files[0], p.Files[1]
	if archive.URL != "https://proxy.golang.org/example.com/!up/m/@v/v1.2.0.zip" || mod.Path != "example.com/!up/m/@v/v1.2.0.mod" {
		t.Errorf("%+v, %+v", archive, mod)
	}
	if string(p.Texts["example.com/!up/m/@v/v1.2.0.info"]) != `{"Version":"v1.2.0"}` || string(p.Texts["go.sum"]) != text {
		t.Errorf("beside them lies %q", p.Texts)
	}
	if err := archive.Sum.Check(bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil {
		t.Error(err)
	}
	good := "module example.com/Up/m\n"
	if err := mod.Sum.Check(strings.NewReader(good), int64(len(good))); err != nil {
		t.Error(err)
	}
	for _, s := range []Sum{archive.Sum, mod.Sum} {
		if err := s.Check(strings.NewReader("else"), 4); !errors.Is(err, ErrHash) {
			t.Errorf("something else as %s: %v", s.Kind, err)
		}
	}
}

func TestCargoLock(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("crate")))
	text := "version = 4\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\ndependencies = [\"itoa\"]\n" +
		"[[package]]\nname = \"itoa\"\nversion = \"1.0.15\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"" + sum + "\"\n"
	p, err := Read("Cargo.lock", []byte(text), "", "")
	if err != nil || len(p.Files) != 1 {
		t.Fatalf("%v, %v", p, err)
	}
	if f := p.Files[0]; f.URL != "https://static.crates.io/crates/itoa/itoa-1.0.15.crate" || f.Path != "itoa-1.0.15.crate" || f.Sum.Check(strings.NewReader("crate"), 5) != nil {
		t.Errorf("%+v", f)
	}
}

// What cannot be checked is refused, with what would help.
func TestLocksThatDoNotSayEnough(t *testing.T) {
	npm := func(entry string) string {
		return `{"lockfileVersion": 3, "packages": {"node_modules/x": ` + entry + `}}`
	}
	crate := func(rest string) string { return "[[package]]\nname = \"x\"\nversion = \"1.0.0\"\n" + rest }
	for _, c := range []struct{ name, text, want string }{
		{"yarn.lock", "", "package-lock.json"},
		{"package-lock.json", "{", "unexpected end"},
		{"package-lock.json", `{"lockfileVersion": 1, "dependencies": {}}`, "npm install --package-lock-only"},
		{"package-lock.json", npm(`{"version": "1.0.0"}`), "no integrity"},
		{"package-lock.json", npm(`{"version": "1.0.0", "integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="}`), "no integrity"},
		{"package-lock.json", npm(`{"version": "1.0.0", "resolved": "git+ssh://git@github.com/x/x.git#1"}`), "[[fetch]]"},
		{"package-lock.json", npm(`{"version": "1.0.0", "resolved": "https://u:p@h/x.tgz"}`), "[[fetch]]"},
		{"package-lock.json", npm(`{"version": "../1"}`), "no package of a registry"},
		{"package-lock.json", npm(`{"name": "../x", "version": "1.0.0"}`), "no package of a registry"},
		{"go.sum", "", "go mod tidy"},
		{"go.sum", "example.com/m v1.0.0\n", "line 1 has 2 words"},
		{"go.sum", "../m v1.0.0 h1:AAAA\n", "malformed"},
		{"go.sum", "example.com/m v1.0.0 h1:AAAA\n", "bytes is no zip"},
		{"Cargo.lock", "[[package", "toml"},
		{"Cargo.lock", crate("source = \"git+https://example.org/x#1\"\n"), "comes from"},
		{"Cargo.lock", crate("source = \"" + cratesIO + "\"\n"), "no checksum"},
		{"Cargo.lock", "[[package]]\nname = \"../x\"\nversion = \"1.0.0\"\nsource = \"" + cratesIO + "\"\n", "no package of a registry"},
	} {
		if _, err := Read(c.name, []byte(c.text), "", ""); !errors.Is(err, ErrLock) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.name, c.text, err, c.want)
		}
	}
}

func TestAModuleThatHoldsTooMuch(t *testing.T) {
	left := int64(3)
	b := &bounded{nopCloser{strings.NewReader("four")}, &left}
	if _, err := b.Read(make([]byte, 10)); !errors.Is(err, errBomb) {
		t.Errorf("more than it may hold: %v", err)
	}
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Close() error { return nil }

func FuzzRead(f *testing.F) {
	f.Add(0, `{"lockfileVersion": 3, "packages": {"node_modules/x": {"version": "1.0.0", "integrity": "`+sri("x")+`"}}}`)
	f.Add(1, "example.com/m v1.0.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Add(2, "[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \""+cratesIO+"\"\nchecksum = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n")
	f.Fuzz(func(t *testing.T, which int, text string) {
		names := []string{"package-lock.json", "go.sum", "Cargo.lock"}
		p, err := Read(names[uint(which)%3], []byte(text), "", "/run/fetched/x")
		if err != nil {
			if !errors.Is(err, ErrLock) {
				t.Errorf("%v", err)
			}
			return
		}
		paths := map[string]bool{}
		for name := range p.Texts {
			paths[name] = true
		}
		for _, f := range p.Files {
			if f.Path == "" || f.Path[0] == '/' || strings.Contains("/"+f.Path+"/", "/../") || strings.ContainsRune(f.Path, 0) || paths[f.Path] || f.Sum.size == 0 {
				t.Errorf("%+v", f)
			}
			paths[f.Path] = true
		}
	})
}
