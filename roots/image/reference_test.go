package image

import (
	"strings"
	"testing"
)

func TestReferences(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	for _, good := range []string{"gaming", "gaming:1", "steve/gaming:2026-11", "localhost:5000/a/b", "localhost:5000/a/b:T_1", "a.b/c@sha256:" + hex, "a:1@sha256:" + hex} {
		r, err := ParseReference(good)
		if err != nil || r.String() != good {
			t.Errorf("%q: %q, %v", good, r, err)
		}
		if ValidReference(good) == strings.Contains(good, "@") {
			t.Errorf("%q: a name to give is one without a digest", good)
		}
	}
	for _, bad := range []string{"", "/", "a/", "/a", "a//b", "A", "a:", ":a", "a:b:c", "a/../b", "..", "a b", "a%b", "a@b", "a@sha256:12", "a@sha256:" + strings.ToUpper(hex),
		"a:5000/b:x/c", "host:x/a", strings.Repeat("a/", 200) + "a", "a:" + strings.Repeat("t", 129), "a:-x"} {
		if r, err := ParseReference(bad); err == nil {
			t.Errorf("%q is read as %q", bad, r)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, reference string
		want               bool
	}{
		{"steve/*", "steve/gaming", true}, {"steve/*", "steve/gaming:2026-11", true}, {"steve/*", "steve/a/b", false},
		{"steve/**", "steve/a/b:1", true}, {"steve/*", "stevenson/gaming", false}, {"steve/*", "steve", false},
		{"**", "steve/a/b:1", true}, {"*", "gaming:3", true}, {"*", "steve/gaming", false},
		{"steve/gaming:2026-*", "steve/gaming:2026-11", true}, {"steve/gaming:2026-*", "steve/gaming:2027-01", false}, {"steve/gaming:*", "steve/gaming", false},
		{"host:5000/*", "host:5000/a:1", true}, {"steve/gaming", "steve/gaming:5", true}, {"steve/gaming", "steve/gaming2", false},
	} {
		if got := Match(tt.pattern, tt.reference); got != tt.want {
			t.Errorf("%s and %s: %v, want %v", tt.pattern, tt.reference, got, tt.want)
		}
	}
	for _, bad := range []string{"", "***", "*a*b*c*d*e", "a b", "a[b]"} {
		if ValidPattern(bad) {
			t.Errorf("%q is a pattern", bad)
		}
	}
}

func FuzzReference(f *testing.F) {
	for _, s := range []string{"gaming", "h:5000/steve/gaming:2026-11", "a@sha256:" + strings.Repeat("0", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err != nil {
			return
		}
		if r.String() != s {
			t.Fatalf("%q becomes %q", s, r)
		}
		if strings.ContainsAny(s, "%\x00\n ") || strings.Contains(s, "..") && strings.Contains("/"+s+"/", "/../") {
			t.Fatalf("%q would not be safe as a file name", s)
		}
	})
}
