package aliases

import (
	"fmt"
	"slices"

	"ninefold/sessiond/pamstack"
)

const module, option = "pam_ninefold.so", "alias"

// denying are the controls of lines that can refuse and never let in.
var denying = []string{"required", "requisite"}

// early are the session modules that may come before ours, since the name of who
// logs in is nothing to them. (The first line of pam_selinux acts at the end of a session.)
var early = []string{"pam_selinux.so", "pam_loginuid.so", "pam_keyinit.so", "pam_permit.so", "pam_deny.so", "pam_env.so", "pam_unix.so", "pam_umask.so"}

// readPAM says why the PAM stacks are not ready for aliases, or "".
func readPAM(root string) string {
	const mend = "run pam-auth-update --enable ninefold-alias, or see pam_ninefold(8)"
	ours := func(l pamstack.Line) bool { return l.Is(module, option) }
	account := pamstack.Read(root, "sshd", "account")
	at := slices.IndexFunc(account, ours)
	if at < 0 {
		return fmt.Sprintf("the account stack of sshd lacks the line \"%s %s\": %s", module, option, mend)
	}
	for _, l := range account[:at] {
		if !slices.Contains(denying, l.Control) {
			return fmt.Sprintf("%s comes before \"%s %s\" in the account stack of sshd, and could let in: %s", l.Module, module, option, mend)
		}
	}
	// What sudo is told to become is looked at in its session alone.
	for _, service := range []string{"sshd", "sudo", "sudo-i"} {
		if service != "sshd" && !pamstack.Has(root, service) {
			continue
		}
		session := pamstack.Read(root, service, "session")
		at := slices.IndexFunc(session, ours)
		if at < 0 {
			return fmt.Sprintf("the session stack of %s lacks the line \"%s %s\": %s", service, module, option, mend)
		}
		for _, l := range session[:at] {
			if service == "sshd" && !slices.Contains(early, l.Module) {
				return fmt.Sprintf("%s comes before \"%s %s\" in the session stack of sshd: %s", l.Module, module, option, mend)
			}
		}
	}
	return ""
}
