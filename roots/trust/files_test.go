package trust

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/sign"
)

func newPublic(t testing.TB) *sign.Public {
	t.Helper()
	k, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k.Public()
}

func TestKeyFilesComeBack(t *testing.T) {
	k := &Key{Name: "steve", Public: newPublic(t), Scopes: []string{"steve/*", "x"}, Kinds: []string{Packages, Tags}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	got, err := ParseKey("f", "steve", []byte(k.Text()))
	if err != nil || got.Text() != k.Text() || got.Public.ID() != k.Public.ID() {
		t.Errorf("%v\n%s\n%s", err, k.Text(), got.Text())
	}
}

func TestWrongFilesNameTheLine(t *testing.T) {
	public := "public = '''\n" + string(newPublic(t).PEM()) + "'''\n"
	key := func(text string) error { _, err := ParseKey("k.toml", "k", []byte(text)); return err }
	policy := func(text string) error { _, err := ParsePolicy("trust.toml", []byte(text)); return err }
	revoked := func(text string) error { _, err := ParseRevoked("revoked.toml", []byte(text)); return err }
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"no scope":         {key(public), "scopes is missing"},
		"unknown key":      {key(public + "scope = ['a']"), `k.toml:6:1: unknown key "scope"; did you mean "scopes"?`},
		"bad pattern":      {key(public + "scopes = ['a b']"), `k.toml:6:`},
		"bad kind":         {key(public + "scopes = ['a']\nkinds = ['image']"), `"image" is not one of packages, images, tags; did you mean "images"?`},
		"bad date":         {key(public + "scopes = ['a']\nnot_after = 'tomorrow'"), "is not a date"},
		"never":            {key(public + "scopes = ['a']\nnot_after = '2026-01-01'\nnot_before = '2026-01-01'"), "would never count"},
		"no key":           {key("scopes = ['a']"), "not an Ed25519 key"},
		"newer":            {key("version = 2\n" + public + "scopes = ['a']"), "k.toml:1:1: version is 2, and this program knows 1"},
		"rule without":     {policy("[[rule]]\nrequire = 'none'"), "trust.toml:1:3: images is missing"},
		"rule typo":        {policy("[[rule]]\nimages = ['a']\nrequire = 'imag'"), `trust.toml:3:1: "imag" is not one of none, image, packages; did you mean "image"?`},
		"too many":         {policy("[[rule]]\nimages = ['a']\nattestations = 99"), "trust.toml:3:1: attestations is 99"},
		"contradiction":    {policy("[[rule]]\nimages = ['a']\nattestations = 2\nrequire = 'none'"), "attestations are over packages"},
		"impossible":       {policy("[[rule]]\nimages = ['a']\nattestations = 2\nkeys = ['a']"), "cannot come from 1 keys"},
		"local":            {policy("[[rule]]\nimages = ['a']\nlocal = 'sign'"), "is not one of trusted, signed"},
		"revoked what":     {revoked("[[revoked]]\nsince = '2026-01-01'"), "revoked.toml:1:3: key is missing"},
		"revoked bad id":   {revoked("[[revoked]]\nkey = 'abc'"), "hex digits"},
		"revoked no table": {revoked("key = 'abc'"), "unknown key"},
	} {
		if tt.err == nil || !errors.Is(tt.err, ErrInvalid) || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", name, tt.err, tt.want)
		}
	}
}

func TestLoad(t *testing.T) {
	w := newWorld(t)
	p := w.policy()
	if len(p.Keys) != 0 || !slices.Contains(p.Inputs, w.config+"/"+KeysDir) || !slices.Contains(p.Inputs, w.config+"/"+PolicyFile) || !slices.Contains(p.Inputs, w.config+"-none/"+RevokedFile) {
		t.Errorf("inputs %q", p.Inputs)
	}
	w.key("steve", "steve/*", "")
	w.write(KeysDir+"/broken.toml", "x = 1")
	w.write(PolicyFile, "[[rule]]\nimages = ['a']\nkeys = ['steven', 'broken']")
	p, err := Load(w.config)
	if err != nil || len(p.Keys) != 1 || len(p.Problems) != 2 {
		t.Fatalf("%v, %v, %v", p.Keys, p.Problems, err)
	}
	if text := errors.Join(p.Problems...).Error(); !strings.Contains(text, "broken.toml:1:1") || !strings.Contains(text, `did you mean "steve"?`) {
		t.Error(text)
	}
	// A file of the administrator's hides one of the same name, also a wrong one.
	other := newWorld(t)
	other.key("broken", "**", "")
	if p, err := Load(w.config, other.config); err != nil || p.Keys["broken"] != nil {
		t.Errorf("a hidden key is trusted: %v, %v", p, err)
	}
	w.write(PolicyFile, "[[rule]]\nimage = ['a']")
	if _, err := Load(w.config); !errors.Is(err, ErrInvalid) {
		t.Errorf("a wrong trust.toml: %v", err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte((&Key{Public: newPublic(f), Scopes: []string{"steve/*"}, Kinds: kinds, NotAfter: now}).Text()))
	f.Add([]byte("scopes = 3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKey("f", "k", b)
		if err != nil {
			return
		}
		if again, err := ParseKey("f", "k", []byte(k.Text())); err != nil || again.Text() != k.Text() {
			t.Fatalf("%v\n%s", err, k.Text())
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte("version = 1\n[[rule]]\nimages = ['a', 'b/*']\nrequire = 'packages'\nkeys = ['k', 'l']\nattestations = 2\nlocal = 'signed'"))
	f.Add([]byte("[[revoked]]\nkey = 'a'\nsince = '2026-01-01'\nreason = 'r'"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, err := ParsePolicy("f", b)
		for _, r := range rules {
			if err == nil && (r.Attestations < 1 || !slices.Contains(requires, string(r.Require)) || len(r.Images) == 0) {
				t.Fatalf("read %+v", r)
			}
		}
		list, err := ParseRevoked("f", b)
		for _, r := range list {
			if err == nil && r.Key.IsZero() {
				t.Fatal("nothing is revoked")
			}
		}
	})
}
