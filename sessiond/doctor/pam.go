package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// services are the ways in that a view is for.
var services = []string{"login", "sshd", "su-l", "sudo-i", "lightdm", "greetd", "sddm", "gdm-password"}

// maxIncludes bounds how deep files of pam.d include each other.
const maxIncludes = 16

// pam looks at the order of the session stack of each way in: prepare has to
// come before pam_systemd, which starts the user manager, and the other line
// after it.
func (l Login) pam() []Finding {
	var right []string
	var out []Finding
	for _, s := range services {
		if _, err := os.Stat(l.path(filepath.Join("/etc/pam.d", s))); err != nil {
			continue
		}
		if wrong := order(l.sessionModules(s, 0)); wrong != "" {
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

// sessionModules lists the session modules of a service in order, includes
// resolved (pam.d(5)).
func (l Login) sessionModules(service string, depth int) []string {
	if depth > maxIncludes || strings.Contains(service, "..") {
		return nil
	}
	b, err := os.ReadFile(l.path(filepath.Join("/etc/pam.d", service)))
	if err != nil {
		b, _ = os.ReadFile(l.path(filepath.Join("/usr/lib/pam.d", service)))
	}
	var out []string
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", " ")) {
		line, _, _ = strings.Cut(line, "#")
		w := strings.Fields(line)
		if len(w) == 2 && w[0] == "@include" {
			out = append(out, l.sessionModules(w[1], depth+1)...)
			continue
		}
		if len(w) < 3 || strings.TrimPrefix(w[0], "-") != "session" {
			continue
		}
		if w[1] == "include" || w[1] == "substack" {
			out = append(out, l.sessionModules(w[2], depth+1)...)
			continue
		}
		rest := w[2:]
		if strings.HasPrefix(w[1], "[") {
			for i, word := range w[1:] {
				if strings.HasSuffix(word, "]") {
					rest = w[i+2:]
					break
				}
			}
		}
		if len(rest) == 0 {
			continue
		}
		module := filepath.Base(rest[0])
		if module == "pam_ninefold.so" && slices.Contains(rest[1:], "prepare") {
			module = prepares
		}
		out = append(out, module)
	}
	return out
}
