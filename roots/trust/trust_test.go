package trust

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/sign"
	"ninefold/roots/store"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const ref = "steve/gaming:2026-11"

// world is a machine: its configuration and its store.
type world struct {
	*testing.T
	config string
	store  *store.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t, filepath.Join(dir, "etc"), s}
	if err := os.MkdirAll(filepath.Join(w.config, KeysDir), 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) write(name, text string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.config, name), []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
}

// key makes a key that is trusted for scopes; more is what its file says besides.
func (w *world) key(name, scopes, more string) *sign.Private {
	w.Helper()
	k, err := sign.Generate()
	if err != nil {
		w.Fatal(err)
	}
	w.write(KeysDir+"/"+name+".toml", fmt.Sprintf("public = '''\n%s'''\nscopes = [%q]\n%s\n", k.Public().PEM(), scopes, more))
	return k
}

func (w *world) policy() *Policy {
	w.Helper()
	p, err := Load(w.config, w.config+"-none")
	if err != nil {
		w.Fatal(err)
	}
	if len(p.Problems) > 0 {
		w.Fatal(p.Problems)
	}
	return p
}

func (w *world) manifest(name string, parent image.ID) *image.Manifest {
	w.Helper()
	m := &image.Manifest{Version: image.Version, Name: name, Parent: parent}
	for _, c := range []string{"one", "two"} {
		d, n, err := w.store.Put(w.Context(), strings.NewReader(name+c))
		if err != nil {
			w.Fatal(err)
		}
		id, err := w.store.PutPackage(&pkg.Package{Name: c, Version: "1", Entries: []pkg.Entry{{Path: name + c, Kind: pkg.File, Mode: 0o644, Size: n, Digest: d}}})
		if err != nil {
			w.Fatal(err)
		}
		m.Packages = append(m.Packages, image.Ref{Name: c, Version: "1", Digest: id})
	}
	slices.SortFunc(m.Packages, func(a, b image.Ref) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	return m
}

func (w *world) pulled(name string, parent image.ID, references ...string) image.ID {
	w.Helper()
	id, err := w.store.PutPulled(w.manifest(name, parent), store.Origin{From: "elsewhere", References: references})
	if err != nil {
		w.Fatal(err)
	}
	return id
}

func (w *world) built(name string, parent image.ID) image.ID {
	w.Helper()
	id, err := w.store.PutImage(w.manifest(name, parent))
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// sign signs as the maker of the image would, whose store is another one: what
// this store saw stays as it was.
func (w *world) sign(k *sign.Private, id image.ID, reference string, version uint64, expires time.Time) {
	w.Helper()
	if _, err := Sign(w.Context(), w.store, k, id, Signing{}); err != nil {
		w.Fatal(err)
	}
	if reference == "" {
		return
	}
	w.add(k, &sign.Statement{Kind: sign.Tag, Name: reference, Subject: id, Tag: &sign.TagInfo{Version: version, Created: now.Add(-time.Hour), Expires: expires}})
}

func (w *world) add(k *sign.Private, s *sign.Statement) {
	w.Helper()
	b, err := sign.Seal(s, k)
	if err == nil {
		err = w.store.AddSignature(s.Subject, b)
	}
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) check(name string, id image.ID) (Verdict, error) {
	return w.policy().Check(w.Context(), w.store, name, id, now)
}

func (w *world) want(name string, id image.ID, want error) {
	w.Helper()
	v, err := w.check(name, id)
	if want == nil && err != nil || !errors.Is(err, want) || want != nil && !errors.Is(err, ErrRefused) {
		w.Errorf("%s: %+v, %v; want %v", name, v, err, want)
	}
}

func TestWhatWasBuiltHereNeedsNoSignature(t *testing.T) {
	w := newWorld(t)
	base := w.built("base", image.ID{})
	v, err := w.check("base", base)
	if err != nil || !v.Trusted || !v.Local {
		t.Errorf("%+v, %v", v, err)
	}
	w.write(PolicyFile, "[[rule]]\nimages = ['base']\nlocal = 'signed'")
	w.want("base", base, ErrUnsigned)
	w.sign(w.key("me", "**", ""), base, "", 0, time.Time{})
	w.want("base", base, nil)
}

func TestWhatWasPulledNeedsImageAndTagSigned(t *testing.T) {
	w := newWorld(t)
	steve := w.key("steve", "steve/*", "")
	base := w.pulled("base", image.ID{}, ref)
	id := w.pulled("gaming", base, ref)
	w.want(ref, id, ErrUnsigned)
	w.want(id.String(), id, ErrUnsigned)
	if _, err := Sign(t.Context(), w.store, steve, id, Signing{PackagesOnly: true}); err != nil {
		t.Fatal(err)
	}
	w.want(ref, id, ErrUnsigned)
	w.sign(steve, id, "", 0, time.Time{})
	w.want(ref, id, ErrUnsigned) // the image is signed, and not under this name
	w.want(id.String(), id, nil)
	w.want("mine", id, nil) // a name that root gave it
	w.sign(steve, id, "steve/other", 1, time.Time{})
	w.want(ref, id, ErrUnsigned)
	w.sign(steve, id, ref, 1, now.Add(time.Hour))
	w.want(ref, id, nil)
	v, err := w.check(ref, id)
	if err != nil || !v.Trusted || v.Local || !slices.Equal(v.Signers, []string{"steve"}) || !v.Until.Equal(now.Add(time.Hour)) {
		t.Errorf("%+v, %v", v, err)
	}
	// What is built here on something pulled is as good as that.
	child := w.built("child", id)
	w.want("child", child, nil)
	if v, _ := w.check("child", child); !v.Trusted || v.Local {
		t.Errorf("%+v", v)
	}
	w.want("other", w.built("other", w.pulled("foreign", image.ID{}, "x/foreign")), ErrUnsigned)
}

func TestKeysOutOfScopeTimeOrFavour(t *testing.T) {
	for name, tt := range map[string]struct {
		scope, more, revoked string
		want                 error
	}{
		"scope":            {scope: "george/*", want: ErrScope},
		"kind":             {scope: "**", more: `kinds = ["packages", "tags"]`, want: ErrScope},
		"no tags":          {scope: "**", more: `kinds = ["packages", "images"]`, want: ErrScope},
		"expired":          {scope: "**", more: `not_after = "2026-11-28"`, want: ErrExpired},
		"not yet":          {scope: "**", more: `not_before = "2026-11-29"`, want: ErrExpired},
		"revoked":          {scope: "**", revoked: "2026-11-01", want: ErrRevoked},
		"revoked always":   {scope: "**", revoked: "-", want: ErrRevoked},
		"revoked later":    {scope: "**", revoked: "2026-12-01"},
		"in its last days": {scope: "**", more: `not_after = "2026-11-29"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.key("steve", tt.scope, tt.more)
			id := w.pulled("gaming", image.ID{}, ref)
			w.sign(k, id, ref, 1, time.Time{})
			if tt.revoked != "" {
				text := fmt.Sprintf("[[revoked]]\nkey = '%s'\nsince = '%s'\nreason = 'stolen'", k.Public().ID(), tt.revoked)
				w.write(RevokedFile, strings.Replace(text, "since = '-'\n", "", 1))
			}
			w.want(ref, id, tt.want)
			if v, err := w.check(ref, id); err == nil && (v.Until.IsZero() || v.Until.Sub(now) > 3*24*time.Hour) {
				t.Errorf("it holds until %v", v.Until)
			}
		})
	}
}

func TestOlderVersionsAreRefused(t *testing.T) {
	w := newWorld(t)
	k := w.key("steve", "steve/*", "")
	old, new, other := w.pulled("a", image.ID{}, ref), w.pulled("b", image.ID{}, ref), w.pulled("c", image.ID{}, ref)
	w.sign(k, old, ref, 4, time.Time{})
	w.sign(k, new, ref, 5, now.Add(time.Hour))
	w.sign(k, other, ref, 5, time.Time{})
	accept := func(id image.ID, want error) {
		t.Helper()
		_, err := w.policy().Accept(t.Context(), w.store, ref, id, now)
		if want == nil && err != nil || !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	accept(old, nil)
	accept(new, nil)
	accept(new, nil)
	if id, err := w.store.Resolve(ref); err != nil || id != new {
		t.Errorf("the tag is at %s, %v", id.Short(), err)
	}
	accept(old, ErrRollback)
	accept(other, ErrRollback) // two images of one version
	w.want(ref, old, ErrRollback)
	if id, _ := w.store.Resolve(ref); id != new {
		t.Error("a refused image got the name")
	}
	if _, err := w.policy().Check(t.Context(), w.store, ref, new, now.Add(2*time.Hour)); !errors.Is(err, ErrExpired) {
		t.Errorf("after the tag's end: %v", err)
	}
	// What a key that was revoked since signed as newest holds nobody up.
	mallory := w.key("mallory", "**", "")
	evil := w.pulled("evil", image.ID{}, ref)
	w.sign(mallory, evil, ref, 1<<60, time.Time{})
	accept(evil, nil)
	accept(new, ErrRollback)
	w.write(RevokedFile, fmt.Sprintf("[[revoked]]\nkey = '%s'\nsince = '2026-11-01'", mallory.Public().ID()))
	accept(evil, ErrRevoked)
	accept(new, nil)
}

func TestTwoRebuilders(t *testing.T) {
	w := newWorld(t)
	steve, george := w.key("steve", "steve/*", ""), w.key("george", "**", `kinds = ["packages"]`)
	w.write(PolicyFile, "[[rule]]\nimages = ['steve/*']\nattestations = 2")
	id := w.pulled("gaming", image.ID{}, ref)
	w.sign(steve, id, ref, 1, time.Time{})
	w.want(ref, id, ErrUnsigned)
	if _, err := Sign(t.Context(), w.store, steve, id, Signing{PackagesOnly: true}); err != nil {
		t.Fatal(err) // the same key again is no second one
	}
	w.want(ref, id, ErrUnsigned)
	if _, err := Sign(t.Context(), w.store, george, id, Signing{PackagesOnly: true}); err != nil {
		t.Fatal(err)
	}
	w.want(ref, id, nil)
	w.write(PolicyFile, "[[rule]]\nimages = ['steve/*']\nrequire = 'packages'\nkeys = ['george']")
	w.want(ref, id, ErrUnsigned) // george may not sign images
}

// What is asked of the packages of an image is asked of its ancestors', which
// have no names here.
func TestAncestorsComeWithTheirImage(t *testing.T) {
	w := newWorld(t)
	steve := w.key("steve", "steve/*", "")
	w.write(PolicyFile, "[[rule]]\nimages = ['steve/*']\nrequire = 'packages'")
	base := w.pulled("base", image.ID{})
	id := w.pulled("gaming", base, ref)
	m, err := w.store.Image(id)
	if err != nil {
		t.Fatal(err)
	}
	w.add(steve, &sign.Statement{Kind: sign.Image, Subject: id})
	w.add(steve, &sign.Statement{Kind: sign.Tag, Name: ref, Subject: id, Tag: &sign.TagInfo{Version: 1, Created: now}})
	for _, p := range m.Packages {
		w.add(steve, &sign.Statement{Kind: sign.Package, Subject: p.Digest})
	}
	w.want(ref, id, ErrUnsigned)
	if _, err := Sign(t.Context(), w.store, steve, base, Signing{PackagesOnly: true}); err != nil {
		t.Fatal(err)
	}
	w.want(ref, id, nil)
}

func TestUnsignedByPolicyIsUntrusted(t *testing.T) {
	w := newWorld(t)
	w.write(PolicyFile, "[[rule]]\nimages = ['docker.io/*']\nrequire = 'none'")
	id := w.pulled("alpine", image.ID{}, "docker.io/alpine:3")
	v, err := w.policy().Accept(t.Context(), w.store, "docker.io/alpine:3", id, now)
	if err != nil || v.Trusted {
		t.Errorf("%+v, %v; want to use it, and not to trust it", v, err)
	}
	if got, err := w.store.Resolve("docker.io/alpine:3"); err != nil || got != id {
		t.Error(err)
	}
	// The same image by a name that asks for more.
	again := w.pulled("alpine", image.ID{}, ref)
	w.want(ref, again, ErrUnsigned)
	w.want("alpine", again, ErrUnsigned)
}

// Each bit of each envelope counts: with one flipped, the image is not usable.
func TestFlippedBitInAnEnvelope(t *testing.T) {
	w := newWorld(t)
	k := w.key("steve", "**", "")
	id := w.pulled("gaming", image.ID{}, ref)
	good, err := sign.Seal(&sign.Statement{Kind: sign.Image, Name: "gaming", Subject: id}, k)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good)*8; i += 61 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		if e, err := sign.Parse(bad); err == nil {
			if _, s, err := e.Signers(k.Public()); err == nil && s.Kind == sign.Image && s.Subject == id {
				continue // a bit of base64 that nothing reads
			}
		}
		if err := errors.Join(os.RemoveAll(filepath.Join(w.store.Dir(), "signatures", id.String())), w.store.AddSignature(id, bad)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.check(id.String(), id); !errors.Is(err, ErrRefused) {
			t.Errorf("bit %d: %v", i, err)
		}
	}
}

// A signature that was moved from another digest says nothing of this one.
func TestSignatureOverSomethingElse(t *testing.T) {
	w := newWorld(t)
	k := w.key("steve", "**", "")
	id, other := w.pulled("gaming", image.ID{}, ref), w.pulled("other", image.ID{}, ref)
	b, err := sign.Seal(&sign.Statement{Kind: sign.Image, Subject: other}, k)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.AddSignature(id, b); err != nil {
		t.Fatal(err)
	}
	w.want(id.String(), id, ErrWrong)
	// Nor does one over a package, though the digest is the image's.
	third := w.pulled("third", image.ID{}, ref)
	w.add(k, &sign.Statement{Kind: sign.Package, Subject: third})
	w.want(third.String(), third, ErrUnsigned)
}

func TestSigningCountsVersions(t *testing.T) {
	w := newWorld(t)
	k := w.key("me", "**", "")
	a, b := w.built("a", image.ID{}), w.built("b", image.ID{})
	for i, tt := range []struct {
		id   image.ID
		want uint64
	}{{a, 1}, {a, 1}, {b, 2}, {a, 3}} {
		done, err := Sign(t.Context(), w.store, k, tt.id, Signing{Reference: ref, Created: now, Expires: now.Add(time.Duration(i+1) * time.Hour)})
		if err != nil || done.Version != tt.want || done.Packages != 2 || done.Images != 1 {
			t.Errorf("signing %d: %+v, %v; want version %d", i, done, err, tt.want)
		}
	}
	if all, _ := w.store.Signatures(a); len(all) != 4 { // the image, and three times the tag
		t.Errorf("%d signatures", len(all))
	}
}
