package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/pamstack"
)

// services are the ways in that a view is for.
var services = []string{"login", "sshd", "su-l", "sudo-i", "lightdm", "greetd", "sddm", "gdm-password"}

// pam looks at the order of the session stack of each way in: prepare has to
// come before pam_systemd, which starts the user manager, and the other line
// after it.
func (l Login) pam() []Finding {
	var right []string
	var out []Finding
	for _, s := range services {
		if !pamstack.Has(l.Root, s) {
			continue
		}
		if wrong := order(l.sessionModules(s)); wrong != "" {
			out = append(out, l.missing("PAM of "+s, wrong, "logins by it stay on the host; run pam-auth-update, or see pam_ninefold(8)"))
			continue
		}
		right = append(right, s)
	}
	if len(right) > 0 {
		out = append(out, l.ok("PAM", strings.Join(right, ", ")))
	}
	return out
}

// module looks whether what the stacks name is there, and root's alone.
func (l Login) module() Finding {
	const name = "pam_ninefold.so"
	const mend = "logins stay on the host; install Ninefold's package again"
	for _, pattern := range []string{"/usr/lib/*/security", "/usr/lib64/security", "/usr/lib/security", "/lib/*/security", "/lib64/security"} {
		found, _ := filepath.Glob(l.path(filepath.Join(pattern, name))) // fails for a bad pattern alone
		if len(found) == 0 {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(found[0], &st); err != nil || st.Uid != 0 || st.Mode&0o022 != 0 {
			return l.missing(name, "others than root can write "+found[0], "install Ninefold's package again, at once")
		}
		return l.ok(name, found[0])
	}
	return l.missing(name, "it is in no directory of PAM modules", mend)
}

const prepares = "pam_ninefold.so prepare"

// order says what is wrong with the order of modules, or "".
func order(modules []string) string {
	prepare, enter, systemd := slices.Index(modules, prepares), slices.Index(modules, "pam_ninefold.so"), slices.Index(modules, "pam_systemd.so")
	switch {
	case prepare < 0 && enter < 0:
		return "pam_ninefold is not in the session stack"
	case prepare < 0 || enter < 0:
		return fmt.Sprintf("one of the two lines of pam_ninefold is missing (%s)", modules[max(prepare, enter)])
	case systemd < 0:
		return "pam_systemd is not in the session stack, and starts no user manager"
	case prepare > systemd:
		return "pam_ninefold prepare comes after pam_systemd"
	case enter < systemd:
		return "pam_ninefold comes before pam_systemd"
	}
	return ""
}

// sessionModules names the session modules of a service in order.
func (l Login) sessionModules(service string) []string {
	var out []string
	for _, line := range pamstack.Read(l.Root, service, "session") {
		switch {
		case line.Is("pam_ninefold.so", "prepare"):
			out = append(out, prepares)
		case !line.Is("pam_ninefold.so", "alias"):
			out = append(out, line.Module)
		}
	}
	return out
}
