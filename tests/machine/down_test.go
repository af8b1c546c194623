package machine

import (
	"strings"
	"testing"
)

// TestAMachineThatGoesDownParks switches a machine off in the middle of sessions
// and boots it again: what they wrote outside the home can be brought back.
func TestAMachineThatGoesDownParks(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			b.configure("[login]\ndefault = \"marked\"\n")
			for _, user := range People {
				term := b.login(user)
				out, _, err := term.Do("dd if=/dev/zero of=/var/tmp/big bs=1M count=20 status=none; echo " + user + " > /var/tmp/mine; cat /var/tmp/mine; sudo -n mkdir /opt/own 2>/dev/null")
				b.check(err)
				if !strings.Contains(out, user) {
					t.Fatalf("%s: %s", user, out)
				}
			}
			// A new daemon holds what the old one held.
			was := b.daemon()
			b.Must("systemctl", "kill", "-s", "KILL", "sessiond.service")
			b.another(was)
			b.Reboot()
			list := b.Must("sessionctl", "session", "list")
			for _, user := range People {
				if strings.Count(list, user) != 1 {
					t.Errorf("of %s there is:\n%s\n%s", user, list, b.Must("journalctl", "--no-pager", "-b", "-1", "-u", "sessiond"))
					continue
				}
				b.want(b.inside(user, "marked", "test -e /var/tmp/mine || sessionctl session restore; cat /var/tmp/mine; stat -c %s /var/tmp/big"), "2 restored\n"+user+"\n20971520")
				b.gone(user)
			}
		})
	}
}
