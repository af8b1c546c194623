package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"ninefold/roots/debian"
)

// serve serves texts by their paths, as they are when they are asked for.
func serve(t *testing.T, texts map[string]string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		text, ok := texts[r.URL.Path]
		if !ok {
			http.NotFound(out, r)
			return
		}
		fmt.Fprint(out, text)
	}))
	t.Cleanup(server.Close)
	return server
}

// A command without a network finds what the recipe names by its hash, and
// nothing else; the image follows from the hashes.
func TestFetchedFilesAreForCommandsAlone(t *testing.T) {
	w := newWorld(t)
	served := map[string]string{"/a.tgz": "one", "/b": "two"}
	server := serve(t, served)
	fetch := func(path, name, text string) string {
		return fmt.Sprintf("[[fetch]]\nurl = %q\nsha256 = \"%x\"\nsize = %d\nname = %q\n", server.URL+path, sha256.Sum256([]byte(text)), len(text), name)
	}
	// What is read has no line's end, which read says by its status.
	const recipe = "from = \"base\"\n[finish]\nrun = [\"read a </run/fetched/a.tgz || read b </run/fetched/second || echo $a $b >/etc/got\"]\n"
	w.recipe("language", recipe+fetch("/a.tgz", "", "one")+fetch("/b", "second", "two"))
	state, locks := t.TempDir(), t.TempDir()
	c := w.config(state, locks)
	first := w.build(c, "language", Options{})
	if got := inside(t, c, first.ID, `read got < /etc/got; echo "$got"; [ ! -e /run/fetched ] || echo it is in the image`); got != "one two\n" {
		t.Errorf("the command made %q", got)
	}
	// Another file of the same name is another image, and one that is not what its hash says is none.
	served["/b"] = "TWO"
	w.recipe("language", recipe+fetch("/a.tgz", "", "one")+fetch("/b", "second", "TWO"))
	c = w.config(state, locks)
	if second := w.build(c, "language", Options{}); second.ID == first.ID || inside(t, c, second.ID, `read got < /etc/got; echo "$got"`) != "one TWO\n" {
		t.Error("the command was not run again over another file")
	}
	w.recipe("language", recipe+fetch("/a.tgz", "", "one")+fetch("/b", "second", "333"))
	if _, err := Build(t.Context(), w.config(state, locks), "language", Options{}); !errors.Is(err, debian.ErrHash) {
		t.Errorf("a file with another hash: %v", err)
	}
	// Without a network a file is known by its hash.
	server.Close()
	w.recipe("language", recipe+fetch("/elsewhere", "a.tgz", "one")+fetch("/b", "second", "two"))
	if again := w.build(w.config(state, locks), "language", Options{Offline: true}); again.ID != first.ID {
		t.Error("the same files by another address are another image")
	}
	w.recipe("language", recipe+fetch("/a.tgz", "", "one")+fetch("/new", "second", "new"))
	if _, err := Build(context.Background(), w.config(state, locks), "language", Options{Offline: true}); !errors.Is(err, ErrOffline) {
		t.Errorf("a file that is not there, offline: %v", err)
	}
	// What was damaged on the disk since is noticed.
	kept := filepath.Join(state, "debs", fmt.Sprintf("file-%x", sha256.Sum256([]byte("TWO"))))
	if err := os.WriteFile(kept, []byte("xyz"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.recipe("language", recipe+fetch("/a.tgz", "", "one")+fetch("/b", "third", "TWO")+"[environment]\nX = \"1\"\n")
	if _, err := Build(t.Context(), w.config(state, locks), "language", Options{Offline: true}); !errors.Is(err, debian.ErrHash) {
		t.Errorf("a damaged download: %v", err)
	}
}
