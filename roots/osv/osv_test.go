package osv

import (
	"errors"
	"strings"
	"testing"
)

// openssl is a record as osv.dev has them, cut to what matters and to what
// must not: another ecosystem, commits, fields of later versions of the format.
const openssl = `{"schema_version":"1.7.3","id":"DEBIAN-CVE-2024-5535","modified":"2025-01-01T00:00:00Z","upstream":["CVE-2024-5535"],"aliases":["DSA-1-1"],
"new_field":{"x":[1]},"affected":[
{"package":{"ecosystem":"Debian:12","name":"openssl","purl":"pkg:deb/debian/openssl"},"versions":["3.0.11-1"],"ranges":[
 {"type":"ECOSYSTEM","events":[{"fixed":"3.0.15-1~deb12u1"},{"introduced":"0"}]},{"type":"GIT","repo":"x","events":[{"introduced":"0"}]}]},
{"package":{"ecosystem":"Debian:13","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"3.1.0"},{"last_affected":"3.3.1-4"},{"introduced":"3.4.0-1"},{"fixed":"3.4.0-3"}]}]},
{"package":{"ecosystem":"Debian:11","name":"openssl"},"versions":["1.1.1w-0+deb11u1","1.1.1n-0+deb11u5"]},
{"package":{"ecosystem":"Alpine:v3.20","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`

func TestWhichVersionsAreAffected(t *testing.T) {
	h, err := Parse([]byte(openssl))
	if err != nil || h == nil {
		t.Fatal(h, err)
	}
	if !h.Is("cve-2024-5535") || !h.Is("DSA-1-1") || !h.Is("DEBIAN-CVE-2024-5535") || h.Is("CVE-2024-553") {
		t.Errorf("it goes by %s %v", h.ID, h.Names)
	}
	releases := map[string]*Affected{}
	for i := range h.Affected {
		releases[h.Affected[i].Release] = &h.Affected[i]
	}
	if len(releases) != 3 {
		t.Errorf("%d releases are affected", len(releases))
	}
	for _, c := range []struct {
		release, version string
		has              bool
		fixed            string
	}{
		{"12", "3.0.14-1~deb12u2", true, "3.0.15-1~deb12u1"},
		{"12", "3.0.15-1~deb12u1", false, ""},
		{"12", "3.0.15-1~", true, "3.0.15-1~deb12u1"},
		{"12", "1:0", false, ""},
		{"13", "3.0.14-1", false, ""},
		{"13", "3.3.1-4", true, "3.4.0-3"},
		{"13", "3.3.1-5", false, ""},
		{"13", "3.4.0-2", true, "3.4.0-3"},
		{"13", "3.4.0-3", false, ""},
		{"11", "1.1.1w-0+deb11u1", true, ""},
		{"11", "1.1.1w-0+deb11u2", false, ""},
	} {
		if has, fixed := releases[c.release].Has(c.version); has != c.has || has && fixed != c.fixed {
			t.Errorf("%s %s: %v, fixed in %q", c.release, c.version, has, fixed)
		}
	}
}

func TestRecordsThatSayNothing(t *testing.T) {
	for _, text := range []string{
		strings.Replace(openssl, `"modified"`, `"withdrawn":"2025-01-01T00:00:00Z","modified"`, 1),
		`{"id":"GHSA-1","affected":[{"package":{"ecosystem":"npm","name":"x"}}]}`, `{"id":"X"}`, `{}`,
	} {
		if h, err := Parse([]byte(text)); h != nil || err != nil {
			t.Errorf("%s: %v %v", text, h, err)
		}
	}
}

func TestRecordsThatAreNone(t *testing.T) {
	const affected = `{"id":"A","affected":[{"package":{"ecosystem":"Debian:12","name":"x"},"ranges":[{"type":"ECOSYSTEM","events":[EVENTS]}]}]}`
	for _, text := range []string{
		"", "[]", `{"id":1}`, `{"affected":{}}`,
		strings.Replace(affected, "EVENTS", `{"introduced":"0","fixed":"1"}`, 1),
		strings.Replace(affected, "EVENTS", `{}`, 1),
		strings.Replace(affected, "EVENTS", `{"introduced":"a b"}`, 1),
		strings.Replace(affected, "EVENTS", `{"introduced":"`+strings.Repeat("1", 400)+`"}`, 1),
		strings.Replace(affected, "EVENTS", strings.Repeat(`{"introduced":"1"},`, 3000)+`{"introduced":"1"}`, 1),
		strings.Replace(strings.Replace(affected, "EVENTS", "", 1), `"A"`, `"A\u001b[2J"`, 1),
		strings.Replace(strings.Replace(affected, "EVENTS", "", 1), `"A"`, `""`, 1),
	} {
		if h, err := Parse([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%.100s: %v %v", text, h, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(openssl), "3.0.14-1~deb12u2")
	f.Add([]byte(`{"id":"A","affected":[{"package":{"ecosystem":"Debian","name":"x"},"versions":["1"]}]}`), "1")
	f.Fuzz(func(t *testing.T, b []byte, version string) {
		h, err := Parse(b)
		if err != nil || h == nil {
			return
		}
		if len(h.Affected) == 0 || !h.Is(h.ID) {
			t.Errorf("a hole that is nowhere, or does not know its name: %v", h)
		}
		for i := range h.Affected {
			h.Affected[i].Has(version)
		}
		if again, err := unpack(pack(h)); err != nil || again.ID != h.ID || pack(again) != pack(h) {
			t.Errorf("%v comes back as %v: %v", h, again, err)
		}
		if h.check() != nil {
			t.Errorf("%v is not what may be kept", h)
		}
	})
}
