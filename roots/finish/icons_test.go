package finish

import (
	"encoding/binary"
	"slices"
	"testing"
)

// iconReader looks icons up the way GTK's gtkiconcache.c does.
type iconReader []byte

func (r iconReader) u16(at uint32) uint16 { return binary.BigEndian.Uint16(r[at:]) }
func (r iconReader) u32(at uint32) uint32 { return binary.BigEndian.Uint32(r[at:]) }

func (r iconReader) text(at uint32) string {
	end := at
	for r[end] != 0 {
		end++
	}
	return string(r[at:end])
}

// find returns "directory:flags" for each image of the icon.
func (r iconReader) find(name string) []string {
	hash, dirs := r.u32(4), r.u32(8)
	at := r.u32(hash + 4 + 4*(iconHash(name)%r.u32(hash)))
	for at != noOffset && r.text(r.u32(at+4)) != name {
		at = r.u32(at)
	}
	if at == noOffset {
		return nil
	}
	images := r.u32(at + 8)
	var found []string
	for i := range r.u32(images) {
		m := images + 4 + 8*i
		dir := r.text(r.u32(dirs + 4 + 4*uint32(r.u16(m))))
		found = append(found, dir+":"+string('0'+rune(r.u16(m+2))))
	}
	return found
}

func TestIconCacheFindsEveryIcon(t *testing.T) {
	v := newTree(t, "usr/share/icons/T/index.theme = [Icon Theme]", "usr/share/icons/T/16/apps/a.png = x", "usr/share/icons/T/16/apps/a.svg = x",
		"usr/share/icons/T/16/apps/b-symbolic.symbolic.png = x", "usr/share/icons/T/32/apps/a.xpm = x", "usr/share/icons/T/32/apps/link.png -> a.xpm",
		"usr/share/icons/T/16@2 -> 16", "usr/share/icons/T/16/apps/README = x", "usr/share/icons/T/dead.png -> gone", "usr/share/icons/U/16/a.png = x")
	run(t, v, "icons", Params{})
	b, err := v.Read("usr/share/icons/T/icon-theme.cache")
	if err != nil {
		t.Fatal(err)
	}
	r := iconReader(b)
	if r.u16(0) != 1 || r.u16(2) != 0 {
		t.Errorf("version %d.%d", r.u16(0), r.u16(2))
	}
	for name, want := range map[string][]string{
		"a": {"16/apps:6", "16@2/apps:6", "32/apps:1"}, "b-symbolic.symbolic": {"16/apps:4", "16@2/apps:4"}, "link": {"32/apps:4"}, "README": nil,
	} {
		if got := r.find(name); !slices.Equal(got, want) {
			t.Errorf("%s is found in %q, want %q", name, got, want)
		}
	}
	if v.Has("usr/share/icons/U/icon-theme.cache") {
		t.Error("a directory that is no theme got a cache")
	}
	// GTK takes a cache for stale that is older than its directory.
	dir, _ := v.Stat("usr/share/icons/T")
	if e, _ := v.Stat("usr/share/icons/T/icon-theme.cache"); e.MTime < dir.MTime {
		t.Errorf("the cache is older (%d) than the theme (%d)", e.MTime, dir.MTime)
	}
}
