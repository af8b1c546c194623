package inventory

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/lock"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// family is a base whose lock is known, and a child whose lock is not.
func family(t *testing.T, s *store.Store) (child image.ID, locks map[pkg.Digest]*lock.Lock) {
	l := &lock.Lock{Version: lock.Version, Recipe: "base", RecipeHash: pkg.Digest{1}, Arch: "amd64",
		Source: lock.Source{Mirror: "https://me:secret@deb.example/debian/", Suite: "bookworm", Date: 1_700_000_000},
		Packages: []lock.Package{
			{Name: "libstdc++6", Version: "1:12.2.0-14+b1", Arch: "amd64", URL: "pool/libstdc++6.deb", Size: 1, SHA256: pkg.Digest{0xab}},
			{Name: "local", Version: "2", Arch: "amd64", URL: "file:///srv/local.deb", Size: 1, SHA256: pkg.Digest{0xcd}},
		}}
	digest, err := l.Digest()
	if err != nil {
		t.Fatal(err)
	}
	base := build(t, s, &image.Manifest{Name: "base", Lock: digest, Finishing: put(t, s, "_finishing", "", "etc/made").Digest, Packages: []image.Ref{
		put(t, s, "libstdc++6", "1:12.2.0-14+b1", "usr/lib/l"), put(t, s, "local", "2", "usr/lib/local"), put(t, s, "files", "0", "usr/share/doc/files/")}})
	child = build(t, s, &image.Manifest{Name: "child", Parent: base, Lock: pkg.Digest{9}, Packages: []image.Ref{
		put(t, s, "curl", "7.88.1-10", "usr/share/doc/curl/"), put(t, s, "tree", "0", "usr/share/tree")}}, "child")
	return child, map[pkg.Digest]*lock.Lock{digest: l}
}

func text(t *testing.T, encode func() (any, error)) string {
	t.Helper()
	d, err := encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	// What a package is in the store does not matter here, and has its own tests.
	return regexp.MustCompile(`(sha256:|image:|package:)[0-9a-f]{64}`).ReplaceAllString(string(b), "${1}X") + "\n"
}

func TestBill(t *testing.T) {
	s := open(t)
	child, locks := family(t, s)
	b, err := Billed(t.Context(), s, "child", child, locks)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range b.Parts {
		got = append(got, b.Parts[i].By+" "+b.Parts[i].Identifier())
	}
	want := []string{
		"child pkg:deb/debian/curl@7.88.1-10?arch=amd64",
		"base pkg:generic/files@0?arch=amd64",
		"base pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bb1?arch=amd64&distro=bookworm",
		"base pkg:deb/debian/local@2?arch=amd64&distro=bookworm",
		"child pkg:generic/tree@0?arch=amd64",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for file, encode := range map[string]func() (any, error){"spdx.json": b.SPDX, "cyclonedx.json": b.CycloneDX} {
		got := text(t, encode)
		want, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil || got != string(want) {
			t.Errorf("%s: %v\n%s", file, err, got)
		}
	}
}

// The same image gives the same text in another store; one more hash that is
// known gives another document, under another name.
func TestBillNamesItsContent(t *testing.T) {
	uuid := func(know bool) string {
		s := open(t)
		child, locks := family(t, s)
		if !know {
			locks = nil
		}
		b, err := Billed(t.Context(), s, "child", child, locks)
		if err != nil {
			t.Fatal(err)
		}
		u, err := b.uuid("spdx")
		if err != nil || !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(u) {
			t.Fatal(u, err)
		}
		return u
	}
	if a, b, c := uuid(true), uuid(true), uuid(false); a != b || a == c {
		t.Error(a, b, c)
	}
}
