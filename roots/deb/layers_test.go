package deb

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"ninefold/roots/pkg"
)

// layersOf makes a layer of each list of members.
func layersOf(t testing.TB, lists ...[]member) []Layer {
	var out []Layer
	for i, l := range lists {
		b := tarBytes(t, l...)
		out = append(out, Layer{Name: fmt.Sprint(i + 1), Sum: sha256.Sum256(b), Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b)), nil
		}})
	}
	return out
}

func null(name string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}, ""}
}

func TestFromLayers(t *testing.T) {
	other := reg("a", "other")
	other.Mode = 0o600
	closed := dir("d/")
	closed.Mode = 0o700
	for name, c := range map[string]struct {
		layers [][]member
		want   string
	}{
		"as it is written":                    {[][]member{{dir("bin/"), reg("bin/sh", "x"), sym("lib", "usr/lib"), sym("sbin", "bin")}}, "d 0755 0:0 bin\nf 0644 0:0 bin/sh\nl 0777 0:0 lib -> usr/lib\nl 0777 0:0 sbin -> bin\n"},
		"the upper one":                       {[][]member{{reg("a", "x")}, {other}}, "f 0600 0:0 a\n"},
		"a whiteout":                          {[][]member{{reg("d/a", "x"), reg("d/b", "x")}, {reg("d/.wh.a", "")}}, "f 0644 0:0 d/b\n"},
		"a whiteout of a directory":           {[][]member{{dir("d/"), reg("d/a/b", "x")}, {reg(".wh.d", "")}}, ""},
		"a whiteout of what the layer has":    {[][]member{{reg("a", "x")}, {reg("a", "y"), reg(".wh.a", "")}}, "f 0644 0:0 a\n"},
		"what comes back":                     {[][]member{{reg("a", "x")}, {reg(".wh.a", "")}, {reg("a", "y")}}, "f 0644 0:0 a\n"},
		"opaque":                              {[][]member{{dir("d/"), reg("d/a", "x"), reg("e", "x")}, {closed, reg("d/.wh..wh..opq", ""), reg("d/b", "x")}}, "d 0700 0:0 d\nf 0644 0:0 d/b\nf 0644 0:0 e\n"},
		"opaque, said late":                   {[][]member{{reg("d/a", "x")}, {reg("d/b", "x"), reg("d/.wh..wh..opq", "")}}, "f 0644 0:0 d/b\n"},
		"an opaque root":                      {[][]member{{reg("a", "x")}, {reg(".wh..wh..opq", ""), reg("b", "x")}}, "f 0644 0:0 b\n"},
		"a directory in place of a link":      {[][]member{{sym("a", "/etc")}, {dir("a/"), reg("a/b", "x")}}, "d 0755 0:0 a\nf 0644 0:0 a/b\n"},
		"a link in place of a directory":      {[][]member{{dir("a/"), reg("a/b", "x")}, {sym("a", "/etc")}}, "l 0777 0:0 a -> /etc\n"},
		"a hard link to a layer below":        {[][]member{{reg("a", "x")}, {hard("b", "a")}}, "f 0644 0:0 a\nf 0644 0:0 b == a\n"},
		"a hard link to what is hidden":       {[][]member{{reg("a", "x")}, {hard("b", "a"), reg(".wh.a", "")}}, "f 0644 0:0 b\n"},
		"twice in one layer":                  {[][]member{{reg("a", "x"), other}}, "f 0600 0:0 a\n"},
		"devices of /dev":                     {[][]member{{dir("dev/"), null("dev/null")}}, "d 0755 0:0 dev\n"},
		"notes of AUFS":                       {[][]member{{reg(".wh..wh.aufs", ""), dir(".wh..wh.plnk/"), reg(".wh..wh.plnk/1.2", "x"), reg("a", "x")}}, "f 0644 0:0 a\n"},
		"a name that only looks like removal": {[][]member{{reg("a.wh.b", "x")}}, "f 0644 0:0 a.wh.b\n"},
		"nothing":                             {[][]member{{}, {}}, ""},
	} {
		p, _, err := FromLayers(t.Context(), layersOf(t, c.layers...), demo, &memory{}, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := listing(p); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, c.want)
		}
	}
}

func TestFromLayersNotes(t *testing.T) {
	_, notes, err := FromLayers(t.Context(), layersOf(t,
		[]member{null("dev/null"), null("dev/pts/x"), reg("README", "x"), reg("readme", "x"), reg(".wh.gone", "")},
		[]member{reg(".wh.other", ""), reg(".wh.readme", "")}), demo, &memory{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if notes.Devices != 2 || fmt.Sprint(notes.Removed) != "[gone other]" || len(notes.Collisions) != 0 {
		t.Errorf("%+v", notes)
	}
}

func TestFromLayersRefuses(t *testing.T) {
	attribute := func(name string) member {
		return member{tar.Header{Name: "a", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr." + name: "x"}}, ""}
	}
	for name, layers := range map[string][][]member{
		"through a link of the layer":       {{sym("a", "/etc"), reg("a/passwd", "x")}},
		"through a link of the layer below": {{sym("a", "/etc")}, {reg("a/passwd", "x")}},
		"through a file of the layer below": {{reg("a", "x")}, {reg("a/passwd", "x")}},
		"a directory that became a link":    {{dir("a/")}, {reg("a/x", "x"), sym("a", "/etc"), reg("a/passwd", "x")}},
		"out of the root":                   {{reg("../a", "x")}},
		"a whiteout out of the root":        {{reg("a/../../.wh.b", "x")}},
		"a whiteout of ..":                  {{reg("a/.wh...", "")}},
		"a whiteout of .":                   {{reg("a/.wh..", "")}},
		"a whiteout of nothing":             {{reg("a/.wh.", "")}},
		"below a whiteout":                  {{reg(".wh.a/b", "")}},
		"a device":                          {{null("srv/null")}},
		"a device called dev":               {{null("dev")}},
		"a hard link out of the root":       {{hard("a", "../b")}},
		"a hard link to a directory below":  {{dir("a/")}, {hard("b", "a")}},
		"trusted":                           {{attribute("trusted.x")}},
		"of an overlay":                     {{attribute("user.overlay.opaque")}},
		"security":                          {{attribute("security.x")}},
	} {
		_, _, err := FromLayers(t.Context(), layersOf(t, layers...), demo, &memory{}, Options{})
		if !errors.Is(err, ErrMalformed) || len(err.Error()) > 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := layersOf(t, []member{reg("a", "x")})
	wrong[0].Sum = pkg.Digest{1}
	if _, _, err := FromLayers(t.Context(), wrong, demo, &memory{}, Options{}); !errors.Is(err, ErrChecksum) {
		t.Errorf("another digest: %v", err)
	}
}

// TestFromLayersIsBounded gives more than is allowed in the ways that cost
// the sender little.
func TestFromLayersIsBounded(t *testing.T) {
	zeros := compress(t, ".gz", tarBytes(t, reg("a", strings.Repeat("\x00", 1<<20))))
	var layers []Layer
	for range 4 {
		layers = append(layers, Layer{Name: "bomb", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(zeros)), nil }})
	}
	if _, _, err := FromLayers(t.Context(), layers, demo, &memory{}, Options{MaxContent: 3 << 20}); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "more than") {
		t.Errorf("content: %v", err)
	}
	if _, _, err := FromLayers(t.Context(), layers, demo, &memory{}, Options{MaxContent: 5 << 20}); err != nil {
		t.Errorf("within the bound: %v", err)
	}
	full, upper := newTree(), newTree()
	full.nodes["a"] = &node{Entry: pkg.Entry{Path: "a", Kind: pkg.Dir}}
	upper.bytes = pkg.MaxEncoded
	if err := upper.over(full, &hidden{}, map[string]bool{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("entries: %v", err)
	}
}

// FuzzFromLayers lays one archive over another: whatever is accepted is a valid
// package, and nothing of it lies below a link.
func FuzzFromLayers(f *testing.F) {
	f.Add(tarBytes(f, dir("a/"), reg("a/b", "x"), sym("c", "a")), tarBytes(f, reg("a/.wh.b", ""), hard("d", "c")))
	f.Add(tarBytes(f, reg("a/b", "x")), tarBytes(f, reg("a/.wh..wh..opq", ""), reg("a/c", "y")))
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		var layers []Layer
		for _, b := range [][]byte{lower, upper} {
			layers = append(layers, Layer{Name: "x", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }})
		}
		p, _, err := FromLayers(t.Context(), layers, demo, &memory{}, Options{MaxContent: 1 << 20, GoXZ: true})
		if err != nil {
			return
		}
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
		for i := range p.Entries {
			if e := &p.Entries[i]; e.Kind == pkg.Char || e.Kind == pkg.Block || strings.HasPrefix(e.Path[strings.LastIndexByte(e.Path, '/')+1:], ".wh.") {
				t.Errorf("%s is in the package", e.Path)
			}
		}
	})
}
