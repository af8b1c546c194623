package namespaces_test

import (
	"strings"
	"testing"

	"ninefold/namespaces/plan"
)

// TestEmptyDirectoriesAreApart: directories that stay empty may be one file system,
// and what is made in one of several that do not is in that one alone.
func TestEmptyDirectoriesAreApart(t *testing.T) {
	mask := func(target string) plan.Mount {
		return plan.Mount{Type: "tmpfs", Target: target, Flags: weak, Options: []string{"mode=0755", "size=64k"}}
	}
	masks := []plan.Op{mask("/media"), mask("/mnt"), mask("/srv")}
	closed := []plan.Op{plan.ReadOnly{Target: "/media"}, plan.ReadOnly{Target: "/mnt"}, plan.ReadOnly{Target: "/srv"}}
	link := plan.Link{Text: "/srv", Path: "/opt/ninefold-test"}
	for what, c := range map[string]struct {
		between []plan.Op
		see     string
		systems string
	}{
		"all stay empty":         {nil, "/media: /mnt: /srv:", "1"},
		"one does not":           {[]plan.Op{plan.Mkdir{Path: "/mnt/x", Mode: 0o755}}, "/media: /mnt: x /srv:", "3"},
		"a link leads into one":  {[]plan.Op{link, plan.Mkdir{Path: "/opt/ninefold-test/x", Mode: 0o755}}, "/media: /mnt: /srv: x", "3"},
		"something else is made": {[]plan.Op{plan.Mkdir{Path: "/run/x", Mode: 0o755}}, "/media: /mnt: /srv:", "1"},
	} {
		t.Run(what, func(t *testing.T) {
			p := hostPlan(t, all, 0, append(append(append([]plan.Op{}, masks...), c.between...), closed...)...)
			out, status := output(t, p, "sh", "-c", `ls /media /mnt /srv; stat -c %d /media /mnt /srv | sort -u | wc -l; for d in /media /mnt /srv; do ! touch $d/y 2>/dev/null || exit 1; done`)
			f := strings.Fields(out)
			if status.Code != 0 || len(f) == 0 || strings.Join(f[:len(f)-1], " ") != c.see {
				t.Errorf("%d: %q, want %q", status.Code, out, c.see)
			}
			if n := f[len(f)-1]; n != c.systems {
				t.Errorf("%s file systems, want %s", n, c.systems)
			}
		})
	}
}
