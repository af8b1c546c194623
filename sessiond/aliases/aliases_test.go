package aliases

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/sessiond/config"
	"ninefold/sessiond/identity"
)

func TestWant(t *testing.T) {
	people := []identity.User{{Name: "bob", UID: 1001, GID: 100, Comment: "Bob,,,umask=077", Home: "/home/bob", Shell: "/bin/sh"}, {Name: "carol", UID: 1002}, {Name: "plus+", UID: 1003}, {Name: "a/b", UID: 1004}}
	login := config.Login{Default: "marked", Users: map[string]string{"carol": "none"}, Choose: []string{"dev", "marked", "gone"}}
	got, left := Want(people, login, func(p string) bool { return p != "gone" }, func(name string) bool { return name == "carol+dev" })
	want := []string{"bob+dev", "bob+marked", "carol+marked", "plus++dev", "plus++marked"}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) || left != 0 {
		t.Errorf("%q, %d left; want %q", names, left, want)
	}
	const record = `{"service":"org.ninefold","uid":1001,"gid":100,"userName":"bob+dev","realName":"Bob,,,umask=077","homeDirectory":"/home/bob","shell":"/bin/sh","disposition":"regular","locked":true,"notAfterUSec":1}` + "\n"
	if got["bob+dev"] != record {
		t.Errorf("%s", got["bob+dev"])
	}
	many := make([]identity.User, Max)
	for i := range many {
		many[i] = identity.User{Name: "u" + strings.Repeat("i", i%200) + string(rune('0'+i/200)), UID: 2000}
	}
	if got, left := Want(many, login, func(string) bool { return true }, func(string) bool { return false }); len(got) != Max || left != 2*Max {
		t.Errorf("%d records, %d left", len(got), left)
	}
}

func TestSync(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "userdb")
	if err := Sync(dir, nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("made for nothing")
	}
	one := map[string]string{"bob+dev": start + "1,\n", "bob+x": start + "1,\n"}
	if err := Sync(dir, one); err != nil {
		t.Fatal(err)
	}
	others := map[string]string{"bob+own.user": `{"userName":"bob+own"}`, "bob.user": start + "1,\n", "note+": start}
	for name, text := range others {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("bob+own.user", filepath.Join(dir, "bob+link.user")); err != nil {
		t.Fatal(err)
	}
	two := map[string]string{"bob+dev": start + "2,\n", "bob+own": start + "2,\n", "bob+link": start + "2,\n"}
	if err := Sync(dir, two); err != nil {
		t.Fatal(err)
	}
	have, err := Records(dir)
	if err != nil || len(have) != 1 || have["bob+dev"] != two["bob+dev"] {
		t.Errorf("%v, %v", have, err)
	}
	if err := Sync(dir, nil); err != nil {
		t.Fatal(err)
	}
	for name, text := range others {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != text {
			t.Errorf("%s was touched: %q, %v", name, b, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != len(others)+1 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// sound is what Debian has, with our lines.
var sound = map[string]string{
	"etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n#AllowUsers bob\nUsePAM yes\nGSSAPIAuthentication no\nSubsystem sftp /x\n",
	"etc/default/ssh":     "# options\nSSHD_OPTS=\n",
	"etc/pam.d/sshd":      "@include common-auth\naccount required pam_nologin.so\n@include common-account\nsession [success=ok default=bad] pam_selinux.so close\n@include common-session\nsession required pam_limits.so\n",
	"etc/pam.d/sudo":      "session required pam_limits.so\n@include common-session\n",
	"etc/pam.d/common-account": "account [success=done ignore=ignore module_unknown=ignore default=die] pam_ninefold.so alias\n" +
		"account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n",
	"etc/pam.d/common-session": "session required pam_permit.so\nsession [success=ok default=die] pam_ninefold.so alias\nsession optional pam_ninefold.so prepare\nsession optional pam_systemd.so\n",
}

func TestObstacles(t *testing.T) {
	for what, c := range map[string]struct{ file, text, want string }{
		"none":              {"etc/ssh/sshd_config.d/a.conf", "PasswordAuthentication yes\nMatch Address 10.0.0.0/8\n", ""},
		"a list":            {"etc/ssh/sshd_config.d/a.conf", "\n  allowUSERS=bob\n", "/etc/ssh/sshd_config.d/a.conf:2 tells people apart by the name that they type (allowusers)"},
		"a quoted keyword":  {"etc/ssh/sshd_config.d/a.conf", `"DenyGroups" x`, "a.conf:1 tells"},
		"a match":           {"etc/ssh/sshd_config.d/a.conf", "Match Address 10.0.0.0/8,!10.1.0.0/16 USER bob\n", "(match user)"},
		"a group":           {"etc/ssh/sshd_config.d/a.conf", "Match group=staff", "(match group)"},
		"another's word":    {"etc/ssh/sshd_config.d/a.conf", "TrustedUserCAKeys /etc/ssh/ca", "lets people in by their name (trustedusercakeys)"},
		"a command":         {"etc/ssh/sshd_config.d/a.conf", "AuthorizedKeysCommand /usr/bin/keys", "(authorizedkeyscommand)"},
		"SELinux":           {"sys/fs/selinux/enforce", "0", "with SELinux"},
		"a script before":   {"etc/pam.d/sshd", "@include common-account\nsession required pam_exec.so /x\n@include common-session\n", "pam_exec.so comes before"},
		"no PAM":            {"etc/ssh/sshd_config.d/a.conf", "UsePAM no", `is not "UsePAM yes"`},
		"PAM by default":    {"etc/ssh/sshd_config", "", `/etc/ssh/sshd_config has no "UsePAM yes"`},
		"another service":   {"etc/ssh/sshd_config.d/a.conf", "PAMServiceName other", "another PAM service"},
		"a loop":            {"etc/ssh/sshd_config.d/a.conf", "Include sshd_config.d/a.conf", "includes itself"},
		"directories":       {"etc/ssh/sshd_config", "UsePAM yes\nInclude /etc/*/x.conf\n", "cannot be followed"},
		"options":           {"etc/default/ssh", `SSHD_OPTS="-o AllowUsers=bob"`, "/etc/default/ssh gives sshd options"},
		"no account line":   {"etc/pam.d/common-account", "account required pam_unix.so\n", "the account stack of sshd lacks the line"},
		"an account before": {"etc/pam.d/sshd", "account sufficient pam_localuser.so\n@include common-account\n@include common-session\n", "pam_localuser.so comes before"},
		"limits before":     {"etc/pam.d/sshd", "session required pam_limits.so\n@include common-account\n@include common-session\n", "pam_limits.so comes before"},
		"prepared before":   {"etc/pam.d/common-session", "session optional pam_ninefold.so prepare\nsession [success=ok default=die] pam_ninefold.so alias\n", "pam_ninefold.so comes before"},
		"sudo without":      {"etc/pam.d/sudo", "session required pam_unix.so\n", "the session stack of sudo lacks the line"},
	} {
		root := t.TempDir()
		files := maps.Clone(sound)
		files[c.file] = c.text
		for name, text := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		why, dirs := Obstacle(root)
		if (c.want == "") != (why == "") || !strings.Contains(why, c.want) {
			t.Errorf("%s: %q, want %q", what, why, c.want)
		}
		if !slices.Contains(dirs, "/etc/ssh") || !slices.Contains(dirs, "/etc/pam.d") || c.text != "" && strings.Contains(c.file, "sshd_config.d") && !slices.Contains(dirs, "/etc/ssh/sshd_config.d") {
			t.Errorf("%s: in %q", what, dirs)
		}
	}
	if why, _ := Obstacle(t.TempDir()); !strings.Contains(why, "cannot be read") {
		t.Errorf("without sshd: %q", why)
	}
}

// What sshd would read as one of the lists is never taken for anything else.
func FuzzSSHDLine(f *testing.F) {
	for _, s := range []string{"AllowUsers bob", "\tdenyusers\t\"x\"", "Match user bob", "include a", "UsePAM=yes", "#", "\"", "Allow Users"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s := &sshd{root: t.TempDir()}
		words := splitLine(line)
		if len(words) == 0 {
			return
		}
		s.line("x:1", words, maxDepth)
		keyword, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains(listing, strings.ToLower(keyword)) && s.why == "" {
			t.Errorf("%q is let through", line)
		}
	})
}
