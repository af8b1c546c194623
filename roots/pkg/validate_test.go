package pkg

import (
	"errors"
	"strings"
	"testing"
)

func TestValidateRefuses(t *testing.T) {
	first := file("a", "text")
	other := link(first, "b")
	other.Mode = 0o600
	dir := func(path string) Entry { return Entry{Path: path, Kind: Dir, Mode: 0o755} }
	for name, entries := range map[string][]Entry{
		"unsorted":                 {dir("b"), dir("a")},
		"twice":                    {dir("a"), dir("a")},
		"absolute":                 {dir("/a")},
		"dotdot":                   {dir("a/../b")},
		"dot":                      {dir("./a")},
		"trailing slash":           {dir("a/")},
		"empty":                    {dir("")},
		"NUL":                      {dir("a\x00b")},
		"long component":           {dir(strings.Repeat("a", 256))},
		"deep":                     {dir(strings.Repeat("a/", 100000) + "a")},
		"below a file":             {file("a", ""), file("a/b", "")},
		"below a file, not next":   {file("a", ""), dir("a-b"), file("a/b", "")},
		"below a symbolic link":    {{Path: "a", Kind: Symlink, Mode: 0o777, Target: "b"}, file("a/b", "")},
		"mode":                     {{Path: "a", Kind: Dir, Mode: 0o40755}},
		"owner -1":                 {{Path: "a", Kind: Dir, UID: 1<<32 - 1}},
		"negative time":            {{Path: "a", Kind: Dir, MTime: -1}},
		"no digest":                {{Path: "a", Kind: File, Size: 3}},
		"size of an empty file":    {{Path: "a", Kind: File, Size: 3, Digest: emptyDigest}},
		"directory with a size":    {{Path: "a", Kind: Dir, Size: 3}},
		"link without target":      {{Path: "a", Kind: Symlink, Mode: 0o777}},
		"unknown kind":             {{Path: "a", Kind: 7}},
		"no kind":                  {{Path: "a"}},
		"overlay attribute":        {{Path: "a", Kind: Dir, Xattrs: []Xattr{{"trusted.overlay.opaque", []byte("y")}}}},
		"attribute twice":          {{Path: "a", Kind: Dir, Xattrs: []Xattr{{Name: "user.a"}, {Name: "user.a"}}}},
		"large attribute":          {{Path: "a", Kind: Dir, Xattrs: []Xattr{{"user.a", make([]byte, MaxXattrValue+1)}}}},
		"hard link to nothing":     {link(file("0", "t"), "b")},
		"hard link, other mode":    {first, other},
		"hard link to itself":      {link(first, "a")},
		"hard link to a directory": {dir("a"), link(Entry{Path: "a", Kind: Dir, Mode: 0o755}, "b")},
		"hard link to a link":      {first, link(first, "b"), link(link(first, "b"), "c")},
		"device out of range":      {{Path: "a", Kind: Block, Major: 1 << 12}},
	} {
		p := &Package{Name: "p", Entries: entries}
		if err := p.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: accepted (%v)", name, err)
		}
		if _, err := p.Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func TestValidateRefusesDeclarations(t *testing.T) {
	for name, d := range map[string]Declared{
		"line break in a comment": {Users: []User{{Name: "a", UID: -1, Comment: "x\ny:0:0"}}},
		"colon in a name":         {Users: []User{{Name: "a:b", UID: -1}}},
		"unsorted":                {Groups: []Group{{"b", -1}, {"a", -1}}},
		"relative override":       {Overrides: []Override{{"usr/bin/x", "root", "root", 0o755}}},
		"dotdot in a diversion":   {Diversions: []Diversion{{"/a/../b", "/c", "p"}}},
		"relative slave":          {Alternatives: []Alternative{{Name: "a", Link: "/a", Path: "/b", Slaves: map[string]string{"c": "/d"}}}},
		"alternative named ..":    {Alternatives: []Alternative{{Name: "..", Link: "/a", Path: "/b"}}},
		"unknown capability":      {Capabilities: []Capability{{"/a", "cap_everything+ep"}}},
	} {
		if err := (&Package{Name: "p", Declared: d}).Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: accepted (%v)", name, err)
		}
	}
}

func TestSortMakesValid(t *testing.T) {
	p := sample()
	p.Entries[0], p.Entries[3] = p.Entries[3], p.Entries[0]
	p.Declared.Groups = append(p.Declared.Groups, p.Declared.Groups[0])
	p.Declared.Users[0].Groups = []string{"video", "audio", "video"}
	p.Sort()
	id, err := p.ID()
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := sample().ID(); id != want {
		t.Error("the sorted package differs from the one in order")
	}
}
