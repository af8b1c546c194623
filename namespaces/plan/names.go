package plan

import (
	"math"
	"slices"
	"strings"
)

// Capabilities are the names of capabilities(7) in the order of their numbers.
func Capabilities() []string { return slices.Clone(capabilities[:]) }

var capabilities = [...]string{
	"cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid", "cap_kill",
	"cap_setgid", "cap_setuid", "cap_setpcap", "cap_linux_immutable", "cap_net_bind_service",
	"cap_net_broadcast", "cap_net_admin", "cap_net_raw", "cap_ipc_lock", "cap_ipc_owner",
	"cap_sys_module", "cap_sys_rawio", "cap_sys_chroot", "cap_sys_ptrace", "cap_sys_pacct",
	"cap_sys_admin", "cap_sys_boot", "cap_sys_nice", "cap_sys_resource", "cap_sys_time",
	"cap_sys_tty_config", "cap_mknod", "cap_lease", "cap_audit_write", "cap_audit_control",
	"cap_setfcap", "cap_mac_override", "cap_mac_admin", "cap_syslog", "cap_wake_alarm",
	"cap_block_suspend", "cap_audit_read", "cap_perfmon", "cap_bpf", "cap_checkpoint_restore",
}

// LimitNames are the names a Limit can have: the rlimits of getrlimit(2), and
// "memory" (bytes) and "tasks" of the session's cgroup.
func LimitNames() []string { return slices.Clone(limitNames[:]) }

var limitNames = [...]string{
	"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
	"nproc", "rss", "rtprio", "rttime", "sigpending", "stack", "memory", "tasks",
	"swap", "cpu_weight", "cpu_quota", "io_weight", "io_max",
}

// mostOf bounds limits that are no amounts: cgroup-v2 in the kernel's
// documentation, and for cpu_quota a thousand processors.
var mostOf = map[string]uint64{"cpu_weight": 10000, "io_weight": 10000, "cpu_quota": 100000, "io_max": 1 << 50}

var seccompNames = [...]string{"default"}

var mountTypes = [...]string{"tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup2", "dev"}

// mountOptions are the options that a type of mount takes. Those of dev are
// device names.
func mountOptions(typ string) []string {
	switch typ {
	case "tmpfs":
		return []string{"size=", "mode=", "uid=", "gid=", "nr_inodes="}
	case "proc":
		return []string{"hidepid=", "subset=", "gid="}
	case "devpts":
		return []string{"newinstance", "gid=", "mode=", "ptmxmode=", "max="}
	}
	return nil
}

// hint is what to append to an error about an unknown word: the nearest known
// one, or all of them.
func hint(word string, known []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, k := range known {
		if d := distance(word, strings.TrimSuffix(k, "=")); d < least {
			best, least = k, d
		}
	}
	switch {
	case best != "":
		return "; did you mean " + best + "?"
	case len(known) == 0:
		return "; there are none"
	case len(known) > 25:
		return ""
	}
	return "; known are " + strings.Join(known, " ")
}

// distance counts the insertions, deletions and replacements between two
// words, and swaps of neighbours as one; it is large at once for long words.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return math.MaxInt
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
