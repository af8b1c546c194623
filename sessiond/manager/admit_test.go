package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/sign"
	"ninefold/roots/store"
	"ninefold/roots/trust"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/profile"
)

// What came from outside is admitted signed, refused unsigned, and nobody's
// where policy lets it in unsigned; the trust files and its end are inputs of what
// was decided.
func TestImagesFromOutsideAreAdmittedByPolicy(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		// Root relies on what no other user can change: not on /tmp's content of others.
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m := Open(Options{Config: filepath.Join(dir, "etc"), State: filepath.Join(dir, "state")})
	if err := os.MkdirAll(filepath.Join(dir, "etc", trust.KeysDir), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := m.Store()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const ref = "steve/base:1"
	id, err := s.PutPulled(&image.Manifest{Version: image.Version, Name: "base"}, store.Origin{From: "elsewhere", References: []string{ref}})
	if err == nil {
		err = s.Tag(ref, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &profile.Profile{Base: ref}
	admit := func() (*composition, error) {
		c := &composition{images: []image.ID{id}}
		return c, m.admit(t.Context(), s, p, c)
	}
	if _, err := admit(); !errors.Is(err, trust.ErrUnsigned) {
		t.Fatalf("unsigned: %v", err)
	}
	policy := filepath.Join(dir, "etc", trust.PolicyFile)
	if err := os.WriteFile(policy, []byte("[[rule]]\nimages = ['steve/*']\nrequire = 'none'"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := admit(); err != nil || len(c.admission.untrusted) != 1 {
		t.Fatalf("let in unsigned: %+v, %v", c.admission, err)
	}
	if err := os.Remove(policy); err != nil {
		t.Fatal(err)
	}
	k, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	if _, err := trust.Sign(t.Context(), s, k, id, trust.Signing{Reference: ref, Created: time.Now(), Expires: end}); err != nil {
		t.Fatal(err)
	}
	key := &trust.Key{Public: k.Public(), Scopes: []string{"steve/*"}}
	if err := os.WriteFile(filepath.Join(dir, "etc", trust.KeysDir, "steve.toml"), []byte(key.Text()), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := admit()
	if err != nil || len(c.admission.untrusted) != 0 || !c.admission.until.Equal(end) {
		t.Fatalf("signed: %+v, %v", c.admission, err)
	}
	if c.admission.names[id] != ref {
		t.Errorf("it is called %q", c.admission.names[id])
	}
	if why := m.Stale([]string{ref}, "layer "+id.String(), time.Now()); len(why) > 0 {
		t.Errorf("stale at once: %q", why)
	}
	if why := m.Stale([]string{ref}, "another layer", time.Now()); len(why) != 1 {
		t.Errorf("the name moved, and it says %q", why)
	}
	facts := &decided.Facts{}
	c.admission.facts(facts, m.StoreDir())
	if !facts.Hold() {
		t.Fatal("what was just found does not hold")
	}
	revoked := filepath.Join(dir, "etc", trust.RevokedFile)
	if err := os.WriteFile(revoked, fmt.Appendf(nil, "[[revoked]]\nkey = '%s'\nsince = '2026-01-01'", k.Public().ID()), 0o644); err != nil {
		t.Fatal(err)
	}
	if facts.Hold() {
		t.Error("a decision outlives the revocation of the key")
	}
	if _, err := admit(); !errors.Is(err, trust.ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
	ended := &decided.Facts{}
	ended.Until(time.Now().Add(-time.Second))
	later := &decided.Facts{}
	later.Until(time.Now().Add(time.Hour))
	if ended.Hold() || !later.Hold() {
		t.Error("what a decision was decided until does not count")
	}
}
