package build

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/roots/languages"
)

// Commands find what the lock files of languages name, laid out for the manager, and the image follows
// from the lock files.
func TestLockFilesOfLanguages(t *testing.T) {
	w := newWorld(t)
	served := map[string]string{"/x/-/x-1.0.0.tgz": "an archive", "/y/y-2.0.0.crate": "a crate", "/example.com/m/@v/v1.0.0.mod": "module example.com/m\n"}
	server := serve(t, served)
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(w.recipes, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	tgz := sha512.Sum512([]byte(served["/x/-/x-1.0.0.tgz"]))
	lock := func(version string) string {
		return fmt.Sprintf(`{"lockfileVersion": 3, "packages": {"node_modules/x": {"version": %q, "integrity": "sha512-%s"}}}`, version, base64.StdEncoding.EncodeToString(tgz[:]))
	}
	write("app/package-lock.json", lock("1.0.0"))
	write("app/package.json", "{}\n")
	write("app/Cargo.lock", fmt.Sprintf("[[package]]\nname = \"y\"\nversion = \"2.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"%x\"\n", sha256.Sum256([]byte("a crate"))))
	list := sha256.Sum256(fmt.Appendf(nil, "%x  go.mod\n", sha256.Sum256([]byte("module example.com/m\n"))))
	write("app/go.sum", "example.com/m v1.0.0/go.mod h1:"+base64.StdEncoding.EncodeToString(list[:])+"\n")
	text := "from = \"base\"\n"
	for _, name := range []string{"package-lock.json", "go.sum", "Cargo.lock"} {
		text += fmt.Sprintf("[[fetch]]\nlock = \"app/%s\"\nurl = %q\n", name, server.URL)
	}
	at := fmt.Sprintf("/run/fetched/npm/sha512-%x.tgz", tgz)
	text += `[finish]
run = ["read a <` + at + ` || read b </run/fetched/cargo/y-2.0.0.crate || read c </run/fetched/go/example.com/m/@v/v1.0.0.mod; read d </run/fetched/npm/package.json; echo $a, $b, $c, $d >/etc/got",
	"while read line; do case $line in *resolved*) echo $line >>/etc/got;; esac; done </run/fetched/npm/package-lock.json", "[ -e /run/fetched/go/go.sum ]"]
`
	w.recipe("language", text)
	state, locks := t.TempDir(), t.TempDir()
	c := w.config(state, locks)
	first := w.build(c, "language", Options{})
	got := inside(t, c, first.ID, `while read line; do echo "$line"; done </etc/got; [ ! -e /run/fetched ] || echo it is in the image`)
	if want := "an archive, a crate, module example.com/m, {}\n\"resolved\": \"file:" + at + "\",\n"; strings.TrimRight(strings.ReplaceAll(got, ",\n", "\n"), "\n") != strings.TrimRight(strings.ReplaceAll(want, ",\n", "\n"), "\n") {
		t.Errorf("the commands found %q, want %q", got, want)
	}
	// The same lock files give the same image, and another file beside them another one.
	if again := w.build(w.config(state, locks), "language", Options{Offline: true}); again.ID != first.ID || !again.Images[len(again.Images)-1].Unchanged {
		t.Error("the same lock files are another image")
	}
	write("app/package.json", "{ }\n")
	if second := w.build(w.config(state, locks), "language", Options{Offline: true}); second.Images[len(second.Images)-1].Unchanged {
		t.Error("another package.json is not noticed")
	}
	// What the registry does not have, serves changed, or cannot be checked is told apart.
	write("app/package-lock.json", lock("1.0.1"))
	served["/example.com/m/@v/v1.0.0.mod"] = "module example.com/m // changed\n"
	if err := os.RemoveAll(filepath.Join(state, "debs")); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(t.Context(), w.config(state, locks), "language", Options{Offline: true}); !errors.Is(err, ErrOffline) {
		t.Errorf("offline, without what is needed: %v", err)
	}
	if _, err := Build(t.Context(), w.config(state, locks), "language", Options{}); !errors.Is(err, languages.ErrGone) || !strings.Contains(err.Error(), "x 1.0.1") {
		t.Errorf("a version that is not there: %v", err)
	}
	write("app/package-lock.json", lock("1.0.0")+"\n")
	if _, err := Build(t.Context(), w.config(state, locks), "language", Options{}); !errors.Is(err, languages.ErrHash) || !strings.Contains(err.Error(), "example.com/m v1.0.0") {
		t.Errorf("a changed file: %v", err)
	}
	write("app/package-lock.json", `{"lockfileVersion": 3, "packages": {"node_modules/x": {"version": "1.0.0"}}}`)
	if _, err := Build(t.Context(), w.config(state, locks), "language", Options{}); !errors.Is(err, languages.ErrLock) {
		t.Errorf("a lock file without hashes: %v", err)
	}
	if list, err := filepath.Glob(filepath.Join(state, "debs", "*.part")); err != nil || len(list) > 0 {
		t.Errorf("left are %v, %v", list, err)
	}
}
