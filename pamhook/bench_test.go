package pamhook

import (
	"os/exec"
	"strings"
	"testing"

	"ninefold/tests/needs"
)

// BenchmarkSu is what the module adds to a warm `su`: both lines, with an
// answer that leads into a view. The two are to be run beside each other, as in
// -bench Su -count 10.
func BenchmarkSu(b *testing.B) {
	needs.Root(b)
	v := newView(b)
	listen(b, v.enter("NINEFOLD_PROFILE=desk"))
	service(b, "su", built(b, "pam_ninefold.so"), "")
	run := func(b *testing.B, plain bool) {
		service(b, "su", built(b, "pam_ninefold.so"), "")
		if plain {
			stack(b, "su", "auth sufficient pam_rootok.so", "account required pam_permit.so", "session required pam_permit.so")
		}
		for b.Loop() {
			if out, err := exec.Command("su", person, "-c", "readlink /proc/self/ns/mnt").Output(); err != nil || plain == strings.HasPrefix(string(out), v.id()) {
				b.Fatal(string(out), err)
			}
		}
	}
	b.Run("without", func(b *testing.B) { run(b, true) })
	b.Run("with", func(b *testing.B) { run(b, false) })
}
