package plan_test

import (
	"slices"
	"strings"
	"testing"

	"ninefold/namespaces/plan"
)

func TestMediaAreLetInOrKeptOut(t *testing.T) {
	for _, c := range []struct {
		login, media bool
		origin       plan.Origin
		want, never  []string
	}{
		{true, true, 0, []string{"bind -Rsd? /media /media"}, []string{"tmpfs /run/media", "overlay /media"}},
		{true, true, 1000, []string{"bind -Rsd? /media /media"}, []string{"tmpfs /run/media"}},
		{true, false, 0, []string{"tmpfs /run/media", "overlay /mnt/data"}, []string{"bind -Rsd? /media", "overlay /media"}},
		{false, true, 0, []string{"bind -Rsd? /media /media", "bind -Rsd? /run/media /run/media"}, nil},
		{false, false, 0, nil, []string{"/run/media", "overlay /media"}},
	} {
		p, err := plan.Compile(loginSpec(t, "", func(s *plan.Spec) {
			s.HostMounts = []plan.HostMount{{Path: "/media/mia/STICK"}, {Path: "/mnt/data"}}
			s.Login, s.Media, s.ProfileOrigin = c.login, c.media, c.origin
		}))
		if err != nil {
			t.Fatal(err)
		}
		text := plan.Print(p)
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("%+v has no %q:\n%s", c, w, text)
			}
		}
		for _, w := range c.never {
			if strings.Contains(text, w) {
				t.Errorf("%+v has %q:\n%s", c, w, text)
			}
		}
		follows := slices.ContainsFunc(p.Ops, func(op plan.Op) bool {
			b, ok := op.(plan.Bind)
			return ok && b.Target == "/media" && plan.FollowsHost(b)
		})
		if follows != c.media {
			t.Errorf("%+v: what is plugged in later comes: %v", c, follows)
		}
	}
}
