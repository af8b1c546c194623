package inventory

import (
	"strings"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/osv"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// binary stores a package with its control paragraph, as the build makes one.
func binary(t *testing.T, s *store.Store, name, version, control string, more ...pkg.Entry) image.Ref {
	t.Helper()
	p := &pkg.Package{Name: name, Version: version, Arch: "amd64", Entries: more}
	if control != "" {
		p.Entries = append(p.Entries, text64(t, s, "var/lib/dpkg/status.d/"+name, control))
	}
	p.Sort()
	id, err := s.PutPackage(p)
	if err != nil {
		t.Fatal(err)
	}
	return image.Ref{Name: name, Version: version, Digest: id}
}

func text64(t *testing.T, s *store.Store, path, content string) pkg.Entry {
	t.Helper()
	d, n, err := s.Put(t.Context(), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return pkg.Entry{Path: path, Kind: pkg.File, Mode: 0o644, Size: n, Digest: d}
}

func hole(t *testing.T, text string) *osv.Hole {
	t.Helper()
	h, err := osv.Parse([]byte(text))
	if err != nil || h == nil {
		t.Fatal(h, err)
	}
	return h
}

const inOpenssl = `{"id":"DEBIAN-CVE-1","affected":[
{"package":{"ecosystem":"Debian:12","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.15-1"}]}]},
{"package":{"ecosystem":"Debian:13","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.20-1"}]}]},
{"package":{"ecosystem":"Debian:12","name":"gcc-12"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"12.2.0-14"}]}]}]}`

func TestHolesAreThoseOfSourcePackages(t *testing.T) {
	s := open(t)
	libssl := binary(t, s, "libssl3", "3.0.14-1+b1", "Package: libssl3\nSource: openssl (3.0.14-1)\nVersion: 3.0.14-1+b1\n")
	fixed := binary(t, s, "openssl", "3.0.15-1", "Package: openssl\nVersion: 3.0.15-1\n")
	libgcc := binary(t, s, "libgcc-s1", "12.2.0-14", "Package: libgcc-s1\nSource: gcc-12\nVersion: 12.2.0-14\n")
	mine := binary(t, s, "openssl", "1", "") // nobody's package but ours
	files := func(version string) image.Ref {
		return binary(t, s, "base-files", version, "Package: base-files\n", text64(t, s, "usr/lib/os-release", "ID=debian\nVERSION_ID=\""+version+"\"\n"))
	}
	twelve := build(t, s, &image.Manifest{Name: "twelve", Packages: []image.Ref{files("12"), fixed, libgcc}}, "twelve")
	build(t, s, &image.Manifest{Name: "child", Parent: twelve, Packages: []image.Ref{libssl}}, "child")
	build(t, s, &image.Manifest{Name: "thirteen", Packages: []image.Ref{files("13"), fixed}}, "thirteen")
	build(t, s, &image.Manifest{Name: "unknown", Packages: []image.Ref{fixed}}, "unknown")
	build(t, s, &image.Manifest{Name: "mine", Packages: []image.Ref{files("12"), mine}}, "mine")
	want := "child(child): libssl3 3.0.14-1+b1 by child\nthirteen(thirteen): openssl 3.0.15-1 by thirteen\nunknown(unknown): openssl 3.0.15-1 by unknown\n"
	// A second time the sources come out of the store's notes.
	for range 2 {
		got, err := load(t, s).Holes(t.Context(), []*osv.Hole{hole(t, inOpenssl)})
		if err != nil || tell(got) != want {
			t.Fatalf("%v\n%swant\n%s", err, tell(got), want)
		}
		if m := got[0]; m.Hole != "DEBIAN-CVE-1" || m.Source != "openssl" || m.Fixed != "3.0.15-1" || got[1].Fixed != "3.0.20-1" {
			t.Errorf("%+v", got)
		}
	}
}
