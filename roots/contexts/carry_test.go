package contexts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ninefold/tests/needs"
)

func TestAccountsAreMergedByName(t *testing.T) {
	const old = "root:x:0:\nbob:x:1000:\n"
	for _, c := range []struct{ mine, theirs, want string }{
		{old + "ann:x:1001:\n", old + "carol:x:1002:\n", old + "carol:x:1002:\nann:x:1001:\n"},
		{"root:x:0:\n", old + "carol:x:1002:\n", "root:x:0:\ncarol:x:1002:\n"},
		{"root:x:0:\nbob:x:1000:staff\n", old + "carol:x:1002:\n", "root:x:0:\nbob:x:1000:staff\ncarol:x:1002:\n"},
		{old, "root:x:0:\n", "root:x:0:\n"},
	} {
		if got, ok := mergeAccounts(old, c.mine, c.theirs, true); !ok || got != c.want {
			t.Errorf("%q and %q become %q, %v", c.mine, c.theirs, got, ok)
		}
	}
	for _, c := range [][2]string{
		{old + "ann:x:1001:\n", old + "carol:x:1001:\n"}, // one id
		{old + "ann:x:1001:\n", old + "ann:x:1002:\n"},
		{"root:x:0:\nbob:x:1000:a\n", "root:x:0:\nbob:x:1000:b\n"},
		{"root:x:0:\nbob:x:1000:a\n", "root:x:0:\n"},
		{"root:x:0:\n", "root:x:0:\nbob:x:1000:b\n"},
	} {
		if got, ok := mergeAccounts(old, c[0], c[1], true); ok {
			t.Errorf("%q merge to %q", c, got)
		}
	}
	// The third field of shadow is a day.
	if _, ok := mergeAccounts("", "a:!:20000:\n", "b:!:20000:\n", false); !ok {
		t.Error("two passwords of one day do not merge")
	}
}

// What both sides make of a file decides what is carried over.
func TestCarry(t *testing.T) {
	needs.Root(t)
	host, s := t.TempDir(), On(t.TempDir())
	r := create(t, s, 0, "foo")
	put(t, host, map[string]string{
		"etc/edited": "1\n2\n3\n4\n5\n", "etc/both": "old\n", "etc/gone": "x", "etc/gone2": "x", "etc/dir": "was a file", "etc/left": "x", "etc/alike": "old",
		"way/x": "x", "home/file": "x",
	})
	dir := s.LayerDir(r, r.Layer)
	put(t, dir, map[string]string{
		"upper/etc/edited": "1\ntwo\n3\n4\n5\n", "upper/etc/both": "mine\n", "upper/etc/gone": "-", "upper/etc/gone2": "-", "upper/etc/dir": "mine",
		"upper/etc/made": "mine", "upper/etc/made2": "mine", "upper/etc/link": "> made", "upper/new/deep/file": "mine", "upper/etc/left": "mine", "upper/etc/alike": "same",
		"upper/way/x": "mine", "upper/home/file": "mine",
		"upper/var/lib/dpkg/status": "", "upper/usr/sbin/policy-rc.d": "ours",
	})
	// While the clock is behind the layer nothing is known to be older than it.
	originals := filepath.Join(dir, Base, originals)
	if err := s.KeepOriginals(ctx(), r, host, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(originals); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with the clock gone back, files were kept: %v", err)
	}
	if err := s.KeepOriginals(ctx(), r, host, time.Now()); err != nil {
		t.Fatal(err)
	}
	// The machine moves on.
	put(t, host, map[string]string{"etc/edited": "1\n2\n3\n4\nfive\n", "etc/both": "theirs\n", "etc/gone2": "changed", "etc/made2": "theirs", "etc/alike": "same"})
	for _, name := range []string{"etc/dir", "way/x", "way", "etc/left"} {
		if err := os.Remove(filepath.Join(host, name)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, host, map[string]string{"etc/dir/": "", "way": "> /etc"})
	root, err := os.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	forecast, err := s.Carry(ctx(), r, root, 0, Carrying{From: r.Layer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(host, "etc/made")); err == nil {
		t.Fatal("a forecast wrote")
	}
	c := claim(t, s, r)
	layer, err := c.Begin()
	if err != nil {
		t.Fatal(err)
	}
	done, err := s.Carry(ctx(), r, root, 0, Carrying{From: r.Layer, To: layer})
	if err != nil {
		t.Fatal(err)
	}
	if done.Files != forecast.Files || !slices.Equal(done.Conflicts, forecast.Conflicts) || !slices.Equal(done.Merged, forecast.Merged) {
		t.Errorf("it was forecast %+v and became %+v", forecast, done)
	}
	for name, want := range map[string]string{
		"etc/edited": "1\ntwo\n3\n4\nfive\n", "etc/both": "theirs\n", "etc/made": "mine", "etc/made2": "theirs", "new/deep/file": "mine",
		"etc/gone2": "changed", "etc/alike": "same", "home/file": "mine", "etc/link": "mine",
	} {
		if got, err := os.ReadFile(filepath.Join(host, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"etc/gone", "etc/left", "etc/x", "usr/sbin/policy-rc.d", "var/lib/dpkg/status"} {
		if _, err := os.Lstat(filepath.Join(host, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	var conflicts []string
	for _, c := range done.Conflicts {
		conflicts = append(conflicts, c.Path)
	}
	if want := []string{"/etc/both", "/etc/dir", "/etc/gone2", "/etc/left", "/etc/made2", "/way", "/way/x"}; !slices.Equal(conflicts, want) {
		t.Errorf("conflicts %q, want %q", conflicts, want)
	}
	// Both sides are kept until somebody decides.
	if err := s.KeepConflicts(r, layer, done.Conflicts); err != nil {
		t.Fatal(err)
	}
	if err := c.Replace(layer, "rebase", Stands{}, now); err != nil {
		t.Fatal(err)
	}
	r = c.Record()
	if err := s.Settle(r, "/etc/both", root, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(r, "/etc/gone2", root, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(r, "/etc/made2", nil, 0); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(host, "etc/both")); string(b) != "mine\n" {
		t.Errorf("settled for the context's side it holds %q", b)
	}
	if _, err := os.Lstat(filepath.Join(host, "etc/gone2")); err == nil {
		t.Error("settled for the context's side, which has removed it, it is there")
	}
	if left, err := s.Conflicts(r); err != nil || len(left) != 4 {
		t.Errorf("left to settle: %v, %v", left, err)
	}
}
