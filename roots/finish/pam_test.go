package finish

import "testing"

const pamUnix = `Name: Unix authentication
Default: yes
Priority: 256
Auth-Type: Primary
Auth:
	[success=end default=ignore]	pam_unix.so try_first_pass
Auth-Initial:
	[success=end default=ignore]	pam_unix.so
Session-Type: Additional
Session:
	required	pam_unix.so
`

const pamOther = `Name: Other
Default: yes
Priority: 128
Auth-Type: Primary
Auth:
	[success=end default=ignore]	pam_other.so use_first_pass
Session-Type: Additional
Session-Interactive-Only: yes
Session:
	optional	pam_home.so
`

func TestPamBlocksJumpPastTheDeny(t *testing.T) {
	profiles := []pamProfile{{"unix", parsePam(pamUnix)}, {"other", parsePam(pamOther)}}
	for _, c := range []struct{ template, kind, want string }{
		{"# top\n$auth_primary\nauth\trequisite\tpam_deny.so\n$auth_additional\n", "auth",
			"# top\nauth\t[success=2 default=ignore]\tpam_unix.so\nauth\t[success=1 default=ignore]\tpam_other.so use_first_pass\nauth\trequisite\tpam_deny.so\n"},
		{"$session_primary\n$session_additional\n", "session",
			"session\t[default=1]\t\t\tpam_permit.so\nsession\trequired\tpam_unix.so\nsession\toptional\tpam_home.so\n"},
		{"$session_nonint_primary\n$session_nonint_additional\n", "session-noninteractive",
			"session\t[default=1]\t\t\tpam_permit.so\nsession\trequired\tpam_unix.so\n"},
	} {
		if got := string(fillPam(c.template, c.kind, profiles)); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.kind, got, c.want)
		}
	}
}
