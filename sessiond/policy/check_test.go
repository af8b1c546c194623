package policy

import (
	"errors"
	"strings"
	"testing"
)

// machine has mia and root, sudo, the profiles dev and games, and programs in
// /usr/bin that are also found in /bin.
type machine struct{}

func (machine) User(name string) bool  { return name == "mia" || name == "root" }
func (machine) Group(name string) bool { return name == "sudo" }
func (machine) Profiles() []string     { return []string{"dev", "games"} }
func (machine) Program(p string) (string, error) {
	if strings.HasSuffix(p, "/none") {
		return "", errors.New(p + " is not on this machine")
	}
	return strings.Replace(p, "/bin/", "/usr/bin/", 1-strings.Count(p, "/usr")), nil
}

func TestCheck(t *testing.T) {
	for text, want := range map[string]string{
		// What is meant as it stands.
		"deny kind guest|remote\nask user * profile * as self run * ...\nask user * profile * as * run * ...": "",
		"allow user @sudo|mia profile * as root run /usr/bin/apt-get update":                                  "",
		"allow user * profile * as root run /usr/bin/apt-get update|check":                                    "",
		"allow user * profile * as root run /usr/bin/journalctl --no-pager -b":                                "",
		"allow user * profile * as root run /usr/bin/python3.13 /usr/local/bin/x":                             "",
		"allow user * profile * as root run /usr/bin/bash -c 'id'":                                            "",
		"allow user * profile * as root run /usr/bin/tar -cf /srv/x /etc":                                     "",
		"allow user * profile none as self run /usr/bin/id":                                                   "3 note no-boundary",
		// What is not.
		"deny\nallow user * profile * as root run /usr/bin/id":                  "4 warning never-matches",
		"allow user * profile * as root run * ...":                              "3 warning over-wide",
		"allow user * profile * as root run /usr/bin/* ...":                     "3 warning over-wide",
		"allow user * profile * as * run /usr/bin/id":                           "3 warning over-wide",
		"ask user * profile * kind guest as self run /usr/bin/id":               "3 warning over-wide",
		"ask user * profile * kind * as self run /usr/bin/id":                   "3 warning over-wide",
		"deny run /usr/bin/su":                                                  "3 warning over-wide",
		"allow user * profile * as root run /usr/bin/apt-get ...":               "3 warning way-out",
		"allow user * profile * as root run /usr/bin/apt-get install *...":      "3 warning way-out",
		"allow user * profile * as root run /usr/bin/apt-get upgrade":           "3 warning way-out",
		"allow user * profile * as root run /usr/bin/less /var/log/syslog":      "3 warning way-out",
		"allow user * profile * as root run /usr/bin/vim.basic /etc/fstab":      "3 warning way-out",
		"allow user * profile * as root run /usr/bin/tar -cf *":                 "3 warning way-out",
		"allow user * profile * as root run /usr/bin/journalctl -b":             "3 warning way-out",
		"allow user * profile * as root run /usr/bin/journalctl --no-pager ...": "3 warning way-out",
		"allow user * profile * as root run /usr/bin/bash":                      "3 warning way-out",
		"allow user * profile * as root run /usr/bin/bash -l":                   "3 warning way-out",
		"allow user * profile * as root run /usr/bin/python3":                   "3 warning way-out",
		"allow user * profile * as root run /usr/bin/python3.13 *":              "3 warning way-out",
		"allow user * profile * as mia run /usr/bin/env ...":                    "3 warning way-out",
		"ask user * profile * as root run /usr/bin/env ...":                     "3 note way-out",
		"allow user * profile * as self run /usr/bin/env ...":                   "3 note way-out",
		"allow user * profile dev as root run /usr/bin/id":                      "3 note no-boundary",
		"deny user * profile dev":                                               "3 note no-boundary",
		"deny run /usr/bin/su ...\nallow user * profile * as self run * ...":    "3 note no-boundary",
		"deny run /usr/bin/su ...\nask user * profile * as self run * ...":      "",
		"allow user joe profile * as root run /usr/bin/id":                      "3 warning unknown-name",
		"allow user @wheel profile * as root run /usr/bin/id":                   "3 warning unknown-name",
		"allow user * profile * as daemon run /usr/bin/id":                      "3 warning unknown-name",
		"allow user * profile deb as self run /usr/bin/id":                      "3 warning unknown-name, 3 note no-boundary",
		"allow user * profile ~mine|none as self run /usr/bin/id":               "3 note no-boundary",
		"allow user * profile * as root run /usr/bin/none":                      "3 warning program",
		"allow user * profile * as root run /bin/id":                            "3 warning program",
		"deny run /usr/bin/none ...":                                            "",
	} {
		var got []string
		for _, f := range Check(rules(t, "# line 2\n"+text), machine{}) {
			got = append(got, strings.Split(f.String(), ":")[1]+" "+string(f.Level)+" "+f.Matter)
			if f.Message == "" || f.File != "p" || strings.Contains(f.Message, "%!") || strings.Contains(f.Hint, "%!") {
				t.Errorf("%s: %+v", text, f)
			}
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s\nfound %s, want %s", text, s, want)
		}
	}
}

func TestCheckHints(t *testing.T) {
	for text, want := range map[string]string{
		"allow user * profile deb as self run /usr/bin/id":                  "did you mean dev?",
		"allow user * profile * as root run /bin/id":                        "write /usr/bin/id",
		"allow user * profile * as root run /usr/bin/less /x":               "fixed arguments do not help",
		"allow user * profile * as root run /usr/bin/find ...":              "fix every argument",
		"allow user * profile * as root run /usr/bin/systemctl status cups": "--no-pager",
		"deny run /usr/bin/su|/usr/bin/sudo":                                "run /usr/bin/su|/usr/bin/sudo ...",
	} {
		found := Check(rules(t, text), machine{})
		if len(found) == 0 || !strings.Contains(found[0].Hint, want) {
			t.Errorf("%s: %+v, want the hint %q", text, found, want)
		}
	}
	if found := Check(rules(t, "allow user joe profile x as root run /none"), nil); len(found) != 1 || found[0].Matter != NoBoundary {
		t.Errorf("without a machine: %v", found)
	}
}

// Every way out is known under one entry, and says how.
func TestTheListOfWaysOut(t *testing.T) {
	for i := range escapes {
		e := &escapes[i]
		if e.how == "" || e.unless != "" && !e.dialog || e.safe != "" && !e.dialog {
			t.Errorf("%+v", e)
		}
		for name := range strings.FieldsSeq(e.names) {
			if found := escapeOf("/usr/bin/" + name); found != e {
				t.Errorf("%s is in the list twice: %s; %s", name, e.how, found.how)
			}
		}
	}
	for _, not := range []string{"/usr/bin/id", "/usr/bin/true", "/usr/sbin/reboot", "/usr/bin/apt-cache"} {
		if e := escapeOf(not); e != nil {
			t.Errorf("%s: %s", not, e.how)
		}
	}
}
