package debversion

import (
	"os/exec"
	"testing"

	"ninefold/tests/needs"
)

// ordered are versions, each earlier than the next.
var ordered = []string{
	"0~~", "0~", "0", "0a", "0+b", "0.0~rc1", "0.0", "1~beta-1", "1-0~bpo1", "1-1", "1-1+b1", "1-1.1", "1-2", "1-10", "1.0a~x-2", "1.0a-1", "1.0+dfsg-1",
	"1.2.3-4~deb12u1", "1.2.3-4", "1.2.3-4+deb12u1", "1.9", "1.10", "2-1-1", "3.0.14-1~deb12u2", "3.0.15-1~deb12u1", "3.0.15-1",
	"20261128", "99999999999999999999999998", "99999999999999999999999999", "1:0", "1:1-1", "2:0.1", "10:0",
}

func sign(n int) int { return min(max(n, -1), 1) }

func TestOrder(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := sign(Compare(a, b)), sign(i-j); got != want {
				t.Errorf("%s and %s: %d, want %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{{"1", "0:1"}, {"1", "1-0"}, {"1.01", "1.1"}, {"1-00", "1"}, {"0:0", ""}} {
		if Compare(same[0], same[1]) != 0 {
			t.Errorf("%s and %s are not equal", same[0], same[1])
		}
	}
}

// dpkg itself says the same.
func TestDpkgAgrees(t *testing.T) {
	needs.Programs(t, "dpkg")
	for i, v := range ordered[1:] {
		if out, err := exec.Command("dpkg", "--compare-versions", ordered[i], "lt", v).CombinedOutput(); err != nil {
			t.Errorf("dpkg: %s is not earlier than %s: %v %s", ordered[i], v, err, out)
		}
	}
}

func FuzzCompare(f *testing.F) {
	for i, v := range ordered[1:] {
		f.Add(ordered[i], v)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if Compare(a, a) != 0 || sign(Compare(a, b)) != -sign(Compare(b, a)) {
			t.Errorf("%q and %q: %d, the other way %d", a, b, Compare(a, b), Compare(b, a))
		}
	})
}
