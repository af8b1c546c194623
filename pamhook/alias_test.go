package pamhook

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ninefold/sessiond/door"
	"ninefold/tests/needs"
)

const recordsDir = "/run/userdb"

// alias makes a name that the machine knows, with a record.
func alias(t *testing.T, name, record string) {
	t.Helper()
	if err := os.MkdirAll(recordsDir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := recordsDir + "/" + name + ".user"
	if err := os.WriteFile(path, []byte(record), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
}

func recordOf(uid int) string {
	return fmt.Sprintf(`{"service":"org.ninefold","uid":%d,"gid":%d}`, uid, uid)
}

// aliasStack is a service that knows the accounts of the tests, and keeps out who
// is not called person. pam_unix is not asked: it would look for passwords.
func aliasStack(t *testing.T, name, module string) {
	t.Helper()
	const ends = "[success=done ignore=ignore module_unknown=ignore default=die]"
	stack(t, name, "auth "+ends+" "+module+" alias", "auth required pam_succeed_if.so quiet user = "+person,
		"account "+ends+" "+module+" alias", "account required pam_succeed_if.so quiet user = "+person,
		"session [success=ok ignore=ignore module_unknown=ignore default=die] "+module+" alias", "session required pam_permit.so",
		"session "+control+" "+module+" prepare")
}

// The accounts that furnish makes for these tests: an alias has its person's uid.
const (
	aliasName  = person + "+dev"
	aliasOther = person + "+other" // the uid of somebody else
)

func TestAlias(t *testing.T) {
	needs.Root(t)
	for kind, module := range map[string]string{"as built": built(t, "pam_ninefold.so"), "sanitized": ""} {
		t.Run(kind, func(t *testing.T) {
			var environment []string
			if module == "" {
				module, environment = sanitized(t)
			}
			for _, c := range []struct {
				what, service, name, record string
				in                          bool
				choice                      string
			}{
				{"an alias", "sshd", aliasName, recordOf(personUID), true, "dev"},
				{"the person", "sshd", person, "", true, ""},
				{"another service", "nf-alias", aliasName, recordOf(personUID), false, ""},
				{"no record", "sshd", aliasName, "", false, ""},
				{"the record of somebody else's", "sshd", aliasName, `{"userName":"x"}`, false, ""},
				{"a record that is cut off", "sshd", aliasName, `{"service":"org.ninefold","uid":49`, false, ""},
				{"a record with a large number", "sshd", aliasName, `{"service":"org.ninefold","uid":99999999999999999999,`, false, ""},
				// The account has another uid than the record, and is a real one.
				{"an old record", "sshd", aliasName, recordOf(personUID + 1), false, ""},
				{"another's uid", "sshd", aliasOther, recordOf(systemUID), false, ""},
			} {
				p := listen(t, say(door.Host, ""))
				aliasStack(t, c.service, module)
				if c.record != "" {
					alias(t, c.name, c.record)
				}
				var ended []string
				for _, op := range []string{"authenticate", "acct_mgmt", "open_session"} {
					cmd := exec.Command("pamtester", c.service, c.name, op)
					cmd.Env = environment
					r := finish(t, cmd)
					lacks(t, c.what, r.out+r.errors, "Sanitizer")
					lacks(t, c.what, r.out+r.errors, "runtime error")
					if (r.code == 0) != c.in && op != "open_session" {
						t.Errorf("%s, %s: %+v", c.what, op, r)
					}
					ended = append(ended, fmt.Sprint(r.code))
				}
				asked := p.requests()
				if c.in && (len(asked) != 1 || asked[0].User != person || asked[0].Choice != c.choice) {
					t.Errorf("%s: asked %+v, ended %s", c.what, asked, strings.Join(ended, " "))
				}
				os.Remove(recordsDir + "/" + c.name + ".user")
				os.Remove("/etc/pam.d/" + c.service)
			}
		})
	}
}
