package mountinfo

import (
	"slices"
	"testing"
)

func TestMountsAreRead(t *testing.T) {
	m, ok := Parse(`36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`)
	if !ok || m.Point != "/mnt 2" || m.Root != "/mnt1" || m.Type != "ext3" || m.Source != "/dev/root" || !slices.Contains(m.Options, "noatime") {
		t.Errorf("got %+v, %v", m, ok)
	}
	for _, bad := range []string{"", "a b c", "36 35 98:0 / / rw - ", " - "} {
		if _, ok := Parse(bad); ok {
			t.Errorf("%q is taken for a mount", bad)
		}
	}
}

func FuzzParseMount(f *testing.F) {
	f.Add(`36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`)
	f.Add(`1 1 0:1 / / rw - tmpfs none`)
	f.Fuzz(func(t *testing.T, line string) { Parse(line) })
}
