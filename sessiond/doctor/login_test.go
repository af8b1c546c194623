package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ninefold/sessiond/api"
)

const common = `session	[default=1]			pam_permit.so
session	requisite			pam_deny.so
session	required			pam_permit.so
session	[success=ok perm_denied=die default=ignore]	pam_ninefold.so prepare
session	required	pam_unix.so
session	optional	pam_systemd.so
session	[success=ok perm_denied=die default=ignore]	pam_ninefold.so debug
`

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestOrderOfPAM(t *testing.T) {
	for name, c := range map[string]struct {
		common, want string
	}{
		"as pam-auth-update makes it": {common, ""},
		"not there":                   {"session required pam_unix.so\n", "pam_ninefold is not in the session stack"},
		"prepare too late": {"session optional pam_systemd.so\nsession optional pam_ninefold.so prepare\nsession optional pam_ninefold.so\n",
			"pam_ninefold prepare comes after pam_systemd"},
		"enter too early": {"session optional pam_ninefold.so prepare\n-session optional pam_ninefold.so\nsession optional pam_systemd.so\n",
			"pam_ninefold comes before pam_systemd"},
		"half": {"session optional pam_ninefold.so prepare\nsession optional pam_systemd.so # pam_ninefold.so\n",
			"one of the two lines of pam_ninefold is missing (pam_ninefold.so prepare)"},
	} {
		l := Login{Root: tree(t, map[string]string{"etc/pam.d/common-session": c.common, "etc/pam.d/su": "auth sufficient pam_rootok.so\n@include common-session\n",
			"etc/pam.d/su-l": "session optional pam_keyinit.so force \\\n revoke\nsession include su\n", "etc/pam.d/loop": "@include loop\n"})}
		if got := order(l.sessionModules("su-l")); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		l.sessionModules("loop")
	}
}

func TestLoginFindings(t *testing.T) {
	find := func(fs []Finding, name string) Finding {
		i := slices.IndexFunc(fs, func(f Finding) bool { return f.Name == name })
		if i < 0 {
			t.Fatalf("nothing on %s in %+v", name, fs)
		}
		return fs[i]
	}
	ctx := context.Background()
	if fs := (Login{Root: t.TempDir()}).findings(ctx); len(fs) != 1 || fs[0].State != Missing {
		t.Errorf("without the package: %+v", fs)
	}
	l := Login{Root: tree(t, map[string]string{enterProgram: "", "etc/pam.d/login": common, "etc/nsswitch.conf": "passwd: files systemd\n", "run/ninefold/door.failed": ""})}
	l.Unit = func(_ context.Context, unit string) (string, error) {
		return "{ path=/usr/lib/systemd/systemd ; argv[]=/usr/lib/systemd/systemd --user ; }", nil
	}
	l.Daemon = func(context.Context) (api.Status, error) { return api.Status{ConfigError: "ninefold.toml:3: bad"}, nil }
	fs := l.findings(ctx)
	for name, want := range map[string]State{"the door": Missing, "the configuration": Fallback, "PAM": OK, "user@.service": Missing,
		"ninefold-enter": Missing, "name services": OK, "polkit": Fallback} {
		if got := find(fs, name); got.State != want || got.State != OK && got.Then == "" {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
	l.Unit = func(context.Context, string) (string, error) {
		return "{ path=" + enterProgram + " ; argv[]=" + enterProgram + " user@ -- /usr/lib/systemd/systemd --user ; }", nil
	}
	if got := l.userManager(ctx); got.State != OK {
		t.Errorf("the drop-in in force: %+v", got)
	}
}
