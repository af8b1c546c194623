package boot

import (
	"slices"
	"strings"
)

// once are words of a kernel's command line that were meant for one start, or
// that the loader adds itself.
var once = []string{"BOOT_IMAGE", "initrd", "init", "rdinit", "break", "rd.break", "single", "s", "S", "1", "emergency", "rescue", "recovery",
	"systemd.unit", "rd.systemd.unit", "systemd.run", "systemd.run_success_action", "systemd.run_failure_action", "systemd.debug_shell", "panic"}

// Line is the command line for a start on an image: what the machine's kernel
// was started with, without what was meant for that start, and ours. Words in
// double quotes stay together, as the kernel reads them.
func Line(machine string, ours []string) string {
	var words []string
	for _, w := range split(machine) {
		key, _, _ := strings.Cut(strings.ReplaceAll(w, `"`, ""), "=")
		if !slices.Contains(once, key) && !strings.HasPrefix(key, "ninefold.") {
			words = append(words, w)
		}
	}
	// A kernel that panics starts the machine again, and that is the old system.
	return strings.Join(append(append(words, "panic=10"), ours...), " ")
}

func split(line string) []string {
	quoted := false
	return strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n')
	})
}
