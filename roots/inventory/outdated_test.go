package inventory

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ninefold/internal/progress"
	"ninefold/roots/image"
	"ninefold/roots/lock"
	"ninefold/roots/osv"
	"ninefold/roots/pkg"
)

func TestWhatIsOutdatedAndWhyItMatters(t *testing.T) {
	s := open(t)
	libssl := binary(t, s, "libssl3", "3.0.14-1+b1", "Package: libssl3\nSource: openssl (3.0.14-1)\n")
	bash := binary(t, s, "bash", "5.2-9", "Package: bash\n")
	files := binary(t, s, "base-files", "12", "Package: base-files\n", text64(t, s, "usr/lib/os-release", "VERSION_ID=\"12\"\n"))
	base := build(t, s, &image.Manifest{Name: "base", Lock: pkg.Digest{1}, Packages: []image.Ref{files, libssl}}, "base")
	child := build(t, s, &image.Manifest{Name: "child", Parent: base, Lock: pkg.Digest{2}, Packages: []image.Ref{bash}}, "child")
	now := map[pkg.Digest]map[string]lock.Available{
		{1}: {"libssl3": {Version: "3.0.15-1", Source: "3.0.15-1"}, "base-files": {Version: "12", Source: "12"}},
		{2}: {"bash": {Version: "5.2-10", Source: "5.2-10"}, "libssl3": {Version: "9", Source: "9"}},
	}
	record := filepath.Join(t.TempDir(), "hole.json")
	if err := os.WriteFile(record, []byte(inOpenssl), 0o600); err != nil {
		t.Fatal(err)
	}
	file := osv.File(t.TempDir())
	if _, err := osv.Import(t.Context(), record, file, time.Unix(0, 0), progress.None); err != nil {
		t.Fatal(err)
	}
	known, err := osv.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range []*osv.Database{nil, known} {
		got, err := load(t, s).Outdated(t.Context(), child, now, db)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, o := range got {
			lines = append(lines, o.Package+" "+o.Version+" -> "+o.Newest+" by "+o.By+" mends "+strings.Join(o.Mends, ","))
		}
		mends := ""
		if db != nil {
			mends = "DEBIAN-CVE-1"
		}
		want := []string{"libssl3 3.0.14-1+b1 -> 3.0.15-1 by base mends " + mends, "bash 5.2-9 -> 5.2-10 by child mends "}
		if !slices.Equal(lines, want) {
			t.Errorf("%q, want %q", lines, want)
		}
	}
}
