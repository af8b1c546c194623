package contexts

import (
	"errors"
	"strings"
	"testing"
)

func TestPackagesAreInOrder(t *testing.T) {
	const dpkg = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
	for _, c := range []struct{ status, want string }{
		{dpkg, ""},
		{dpkg + "Package: old\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: never\nStatus: unknown ok not-installed\n\n", ""},
		{"", "does not speak of dpkg"},
		{"\x00\x00\x00\x00", "malformed"},
		{dpkg + "Package: cut\nStatus: install ok inst", "is cut off"},
		{dpkg + "Package: half\nStatus: install reinstreq half-installed\nVersion: 1\n\n", "half is half installed"},
	} {
		host := t.TempDir()
		put(t, host, map[string]string{"var/lib/dpkg/status": c.status})
		err := CheckPackages(host)
		if c.want == "" && err != nil {
			t.Errorf("%q: %v", c.status, err)
		}
		if c.want != "" && (!errors.Is(err, ErrPackages) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.status, err, c.want)
		}
	}
	if err := CheckPackages(t.TempDir()); err != nil {
		t.Errorf("a machine without dpkg: %v", err)
	}
}
