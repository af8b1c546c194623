package contexts

import (
	"strings"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/contexts/inside"
)

// Where a context has what is Ninefold's.
const (
	runDir   = "/run/ninefold-context"
	shimDir  = runDir + "/bin"
	heardDir = runDir + "/heard"
	// PolicyFile and AptFile are written into each context: the first is asked by
	// invoke-rc.d and deb-systemd-invoke whether a service may be started, the
	// second has dpkg look for the shims first.
	PolicyFile = "/usr/sbin/policy-rc.d"
	AptFile    = "/etc/apt/apt.conf.d/00ninefold-context"
)

// note writes down what was asked: the package whose script it was, and the
// command. It is the start of every shim.
const note = `#!/bin/sh
# Written by ninefold: a context does nothing on the machine that it stands on.
note() {
	printf '%s\t%s\n' "${DPKG_MAINTSCRIPT_PACKAGE:--}" "$(printf '%s ' "$@" | tr '\n\t' '  ')" >>` + heardDir + "/" + inside.HeardFile + ` 2>/dev/null
}
me=${0##*/}
`

// systemctlShim lets through what reads and writes unit files, and notes what is
// for a running system.
const systemctlShim = note + `verb=
for word; do
	case $word in -*) ;; *) verb=$word; break ;; esac
done
case $verb in
start|stop|restart|try-restart|condrestart|reload|force-reload|reload-or-restart|try-reload-or-restart|kill|isolate|\
daemon-reload|daemon-reexec|reset-failed|freeze|thaw|set-property|set-environment|unset-environment|import-environment|\
poweroff|reboot|halt|kexec|soft-reboot|exit|suspend|hibernate|hybrid-sleep|rescue|emergency|default)
	note systemctl "$@"
	exit 0 ;;
is-active) echo inactive; exit 3 ;;
is-failed) echo inactive; exit 1 ;;
is-system-running) echo offline; exit 1 ;;
esac
for real in /usr/bin/systemctl /bin/systemctl; do
	[ -x $real ] && SYSTEMD_OFFLINE=1 exec $real "$@"
done
exit 127
`

// readsShim lets a program through that was not told to change anything.
const readsShim = note + `for word; do
	case $word in -w|--write|-p*|--load*|--system|*=*) note "$me" "$@"; exit 0 ;; esac
done
for dir in /usr/sbin /usr/bin /sbin /bin; do
	[ -x $dir/$me ] && exec $dir/$me "$@"
done
exit 127
`

const noteShim = note + `note "$me" "$@"
exit 0
`

const policyShim = note + `note "$me" "$@"
exit 101
`

// noted are programs by which package scripts would change the machine itself:
// its services, its kernel, how it boots.
var noted = []string{
	"deb-systemd-invoke", "invoke-rc.d", "service", "initctl", "telinit", "init", "shutdown", "reboot", "poweroff", "halt",
	"modprobe", "insmod", "rmmod", "depmod", "update-initramfs", "update-grub", "grub-install", "grub-mkconfig", "kernel-install", "bootctl",
}

const aptConf = `// Written by ninefold: package scripts find what keeps them off the machine.
DPkg::Path "` + shimDir + `:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
`

// files are what is put into every root; those outside /run for machines with
// dpkg alone.
func files(dpkg bool) []plan.File {
	out := []plan.File{
		{Path: shimDir + "/systemctl", Mode: 0o755, Content: systemctlShim},
		{Path: shimDir + "/sysctl", Mode: 0o755, Content: readsShim},
		{Path: shimDir + "/" + noteName, Mode: 0o755, Content: noteShim},
	}
	if dpkg {
		out = append(out, plan.File{Path: PolicyFile, Mode: 0o755, Content: policyShim},
			plan.File{Path: AptFile, Mode: 0o644, Content: aptConf})
	}
	return out
}

// noteName is the one shim that writes down and does nothing; the programs in noted
// are links to it, which know themselves by the name that they are called by.
const noteName = "ninefold-note"

func links() (out []plan.Link) {
	for _, name := range noted {
		out = append(out, plan.Link{Text: noteName, Path: shimDir + "/" + name})
	}
	return out
}

// Heard is something that a package's script asked of the machine.
type Heard struct {
	Package string `json:"package"` // "" when it was no package's script
	Command string `json:"command"`
}

const (
	maxHeard      = 1 << 20
	maxHeardLines = 1000
)

// parseHeard reads what shims wrote. Whoever is in the context can write there:
// it is for people, nothing is decided by it.
func parseHeard(text string) (out []Heard) {
	seen := map[Heard]bool{}
	for line := range strings.Lines(text) {
		pkg, command, ok := strings.Cut(strings.TrimSpace(line), "\t")
		h := Heard{Package: strings.TrimPrefix(pkg, "-"), Command: strings.TrimSpace(command)}
		if !ok || h.Command == "" || seen[h] || len(out) == maxHeardLines {
			continue
		}
		seen[h] = true
		out = append(out, h)
	}
	return out
}
