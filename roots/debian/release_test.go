package debian

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"ninefold/roots/debian/testrepo"
)

func inRelease(t testing.TB, repo *testrepo.Repository) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repo.Dir, "dists", repo.Suite, "InRelease"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func keyring(t testing.TB, paths ...string) *Keyring {
	t.Helper()
	k, err := LoadKeyring(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVerifyRelease(t *testing.T) {
	repo := testrepo.New(t, "trixie", "amd64")
	stranger := testrepo.NewKey(t)
	own := repo.Signers[0]
	now := time.Now()
	file := inRelease(t, repo)
	repo.ValidUntil = now.Add(-time.Minute)
	repo.Publish(t)
	expired := inRelease(t, repo)
	repo.ValidUntil = now.Add(time.Hour)
	repo.Signers = []*openpgp.Entity{stranger, own}
	repo.Publish(t)
	two := inRelease(t, repo)
	repo.Signers = []*openpgp.Entity{stranger}
	repo.Publish(t)
	foreign := inRelease(t, repo)
	repo.Signers = []*openpgp.Entity{own}
	repo.Date = now.Add(48 * time.Hour)
	repo.Publish(t)
	future := inRelease(t, repo)
	tampered := bytes.Replace(file, []byte("Origin: Test"), []byte("Origin: Best"), 1)

	for _, tt := range []struct {
		name  string
		file  []byte
		suite string
		want  error
	}{
		{"good", file, "trixie", nil},
		{"by the name of the suite", file, "stable", nil},
		{"one of two keys known", two, "trixie", nil},
		{"another suite", file, "bookworm", ErrWrongSuite},
		{"changed", tampered, "trixie", ErrBadSignature},
		{"cut off", file[:len(file)/2], "trixie", ErrBadSignature},
		{"text after", append(bytes.Clone(file), "Suite: sid\n"...), "trixie", ErrBadSignature},
		{"text before", append([]byte("Suite: sid\n"), file...), "trixie", ErrBadSignature},
		{"unsigned", []byte("Suite: trixie\n"), "trixie", ErrBadSignature},
		{"empty", nil, "trixie", ErrBadSignature},
		{"unknown key", foreign, "trixie", ErrUnknownKey},
		{"expired", expired, "trixie", ErrExpired},
		{"from the future", future, "trixie", ErrExpired},
	} {
		for _, path := range []string{repo.Keyring, repo.Armored} {
			r, err := VerifyRelease(tt.file, tt.suite, keyring(t, path), now, false)
			if !errors.Is(err, tt.want) || (err == nil) != (r != nil) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
		}
	}
	if _, err := VerifyRelease(expired, "trixie", keyring(t, repo.Keyring), now, true); err != nil {
		t.Errorf("an expired file that is allowed: %v", err)
	}
}

func TestLoadKeyringErrors(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.gpg")
	if err := os.WriteFile(junk, []byte("junk"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, paths := range [][]string{nil, {filepath.Join(dir, "absent.gpg")}, {junk}} {
		if _, err := LoadKeyring(paths...); !errors.Is(err, ErrNoKeyring) {
			t.Errorf("%v: got %v", paths, err)
		}
	}
}

// An index that is not what InRelease promises is not believed, wherever it
// comes from.
func TestTamperedIndex(t *testing.T) {
	repo := testrepo.New(t, "trixie", Arch(), world...)
	dir := filepath.Join(repo.Dir, "dists/trixie/main/binary-"+Arch())
	files, _ := filepath.Glob(filepath.Join(dir, "by-hash/SHA256/*"))
	for _, f := range append(files, filepath.Join(dir, "Packages.gz")) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(f, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Solve(context.Background(), question(repo, []string{"mawk"}), Options{Dir: t.TempDir()})
	if !errors.Is(err, ErrHash) {
		t.Errorf("got %v", err)
	}
}

// A kept index that rotted on disk is fetched again.
func TestRottenCache(t *testing.T) {
	needApt(t)
	repo := testrepo.New(t, "trixie", Arch(), world...)
	o := Options{Dir: t.TempDir()}
	q := question(repo, []string{"mawk"})
	if _, err := Solve(context.Background(), q, o); err != nil {
		t.Fatal(err)
	}
	kept, _ := filepath.Glob(filepath.Join(o.Dir, strings.Repeat("?", 64)))
	if len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	if err := os.WriteFile(kept[0], []byte("rot"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Solve(context.Background(), q, o); err != nil {
		t.Error(err)
	}
}

func FuzzRelease(f *testing.F) {
	f.Add("Suite: stable\nCodename: trixie\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nSHA256:\n " + strings.Repeat("0", 64) + " 3 main/binary-amd64/Packages\n")
	f.Add("Date: Sat, 1 Jul 2026 10:16:37 +0000\nSHA256: x")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRelease(text)
		if (err == nil) != (r != nil) {
			t.Errorf("got %v, %v", r, err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	repo := testrepo.New(f, "trixie", "amd64")
	keys, err := LoadKeyring(repo.Keyring)
	if err != nil {
		f.Fatal(err)
	}
	good := inRelease(f, repo)
	signed, _, err := keys.verify(good, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:200])
	f.Fuzz(func(t *testing.T, file []byte) {
		text, _, err := keys.verify(file, time.Now())
		if err == nil && text != signed {
			t.Errorf("believed %q", text)
		}
	})
}
