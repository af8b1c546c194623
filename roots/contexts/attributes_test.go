package contexts

import (
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

func acl(entries ...[3]uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return string(b)
}

const none = ^uint32(0)

var someACL = acl([3]uint32{1, 6, none}, [3]uint32{2, 7, 1000}, [3]uint32{4, 4, none}, [3]uint32{8, 4, 50}, [3]uint32{16, 7, none}, [3]uint32{32, 0, none})

func TestAttributesAreShifted(t *testing.T) {
	by := uint32(100000)
	got, err := shifted(accessAttribute, someACL, by)
	want := acl([3]uint32{1, 6, none}, [3]uint32{2, 7, 101000}, [3]uint32{4, 4, none}, [3]uint32{8, 4, 100050}, [3]uint32{16, 7, none}, [3]uint32{32, 0, none})
	if err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if back, err := shifted(accessAttribute, got, -by); err != nil || back != someACL {
		t.Errorf("back: %q, %v", back, err)
	}
	v2 := "\x01\x00\x00\x02" + "\x00\x20\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"
	v3 := "\x01\x00\x00\x03" + v2[4:] + "\x00\x00\x0d\x00"
	for _, v := range []string{v2, v3} {
		if got, err := shifted(capabilityAttribute, v, 7); err != nil || got != v2 {
			t.Errorf("%q: %q, %v", v, got, err)
		}
	}
	if got := forRoot(capabilityAttribute, v2, 0x000d0000); got != v3 {
		t.Errorf("for a root of its own: %q", got)
	}
	if got := forRoot(capabilityAttribute, v2, 0); got != v2 {
		t.Errorf("for the machine's root: %q", got)
	}
	for _, bad := range []string{"", "\x02\x00\x00", "\x01\x00\x00\x00", someACL + "x", someACL[:9]} {
		if _, err := shifted(defaultAttribute, bad, 1); !errors.Is(err, errAttribute) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzShifted(f *testing.F) {
	f.Add(someACL, uint32(1))
	f.Fuzz(func(t *testing.T, value string, by uint32) {
		for _, name := range []string{accessAttribute, capabilityAttribute} {
			there, err := shifted(name, value, by)
			if err != nil {
				continue
			}
			if back, err := shifted(name, there, -by); err != nil || name == accessAttribute && back != value {
				t.Fatalf("%q became %q and %q, %v", value, there, back, err)
			}
		}
	})
}

// What a copy gets replaces what was there.
func TestAttributesAreCopied(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	want := map[string]string{"user.kept": "x", accessAttribute: someACL, capabilityAttribute: "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	for _, name := range []string{a, b} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for k, v := range want {
		if err := unix.Setxattr(a, k, []byte(v), 0); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
	}
	for k, v := range map[string]string{"user.old": "x", "user.kept": "another", "trusted.own": "x"} {
		if err := unix.Setxattr(b, k, []byte(v), 0); err != nil {
			t.Fatal(err)
		}
	}
	n, err := nodeAt(unix.AT_FDCWD, a)
	if err != nil || !maps.Equal(n.attributes, want) {
		t.Fatalf("%v, %v", n, err)
	}
	if err := (&target{}).dress(unix.AT_FDCWD, b, n); err != nil {
		t.Fatal(err)
	}
	got, err := nodeAt(unix.AT_FDCWD, b)
	if err != nil || !got.sameOwner(n) {
		t.Errorf("%v, %v; want %v", got, err, n)
	}
	if _, err := unix.Getxattr(b, "trusted.own", nil); err != nil {
		t.Errorf("what is not carried was touched: %v", err)
	}
}
