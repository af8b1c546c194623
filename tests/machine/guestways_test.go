package machine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// guestsWays tries, while a guest is in, the ways in which others could become it, end it, or take its
// name and its id. The machine has to have the programs in also, which not every machine has.
func (b *Booted) guestsWays(t *testing.T, name string, also ...string) {
	t.Helper()
	uid := strings.TrimPrefix(name, "guest-")
	has := map[string]bool{}
	for _, program := range []string{"su", "sudo", "ssh", "machinectl", "systemd-run", "systemctl", "loginctl", "sessionctl", "sh", "pamtester", "run0", "pkexec"} {
		has[program] = b.Run("sh", "-c", `command -v "$0"`, program).OK()
		optional := program == "run0" || program == "pkexec" // Debian 13's, and the greeters'
		if !has[program] && (!optional || slices.Contains(also, program)) {
			t.Errorf("the machine lacks %s", program)
		}
	}
	for _, way := range [][]string{
		{"su", "-c", "id", name}, {"su", "-c", "id", "guest"}, {"sudo", "-u", name, "id"},
		{"pkexec", "--user", name, "id"}, {"pkexec", "--user", "guest", "id"},
		{"ssh", "-o", "BatchMode=yes", name + "@localhost", "id"}, {"ssh", "-o", "BatchMode=yes", "guest@localhost", "id"},
		{"machinectl", "--no-ask-password", "shell", name + "@.host", "/usr/bin/id"},
		{"systemd-run", "--no-ask-password", "--quiet", "--pipe", "--wait", "--uid=" + uid, "id"},
		{"systemd-run", "--no-ask-password", "--quiet", "--pipe", "--wait", "--machine=" + name + "@.host", "--user", "id"},
		{"run0", "--no-ask-password", "--user=" + name, "id"},
		{"sessionctl", "guest", "end", name}, {"loginctl", "--no-ask-password", "terminate-user", name}, {"loginctl", "--no-ask-password", "enable-linger", name},
		{"systemctl", "--no-ask-password", "stop", "ninefold-" + name + ".service"}, {"systemctl", "--no-ask-password", "kill", "ninefold-" + name + ".service"},
		{"sh", "-c", "cat /var/lib/ninefold/guests/taken/" + uid}, {"sessionctl", "guest", "report", name},
	} {
		if !has[way[0]] {
			continue
		}
		// pkexec wants its parent to be there.
		if r := b.RunAs("bob", append([]string{"sh", "-c", `"$@"; exit $?`, "sh"}, way...)...); r.OK() || strings.Contains(r.Stdout, "uid=") {
			t.Errorf("bob became the guest, ended it, or knows of it: %s", r)
		}
	}
	// No service lets that name pass, nor the one that guests type where nobody sits. Each takes its time to refuse.
	passed := b.Must("sh", "-c", `for service in $(ls /etc/pam.d /usr/lib/pam.d | grep -vxE '(/.*:)?|common-.*|other|.*(autologin|greeter|launch-environment).*'); do
	(pamtester $service $0 acct_mgmt >/dev/null 2>&1 && echo $service $0
	case $service in lightdm | greetd) ;; # root is believed to be those
	*) echo | pamtester $service guest authenticate acct_mgmt >/dev/null 2>&1 && echo $service guest ;;
	esac; : ) &
done; wait`, name)
	b.want(passed, "")
	// Neither is to be had by anybody else.
	for _, way := range [][]string{{"useradd", "--uid", uid, "another"}, {"useradd", name}, {"groupadd", "--gid", uid, "another"}} {
		if r := b.Run(way...); r.OK() {
			t.Errorf("it is somebody else's, too: %s", r)
		}
	}
	b.want(b.Must("id", name), fmt.Sprintf("uid=%s(%s) gid=%s(%s) groups=%s(%s)", uid, name, uid, name, uid, name))
}
