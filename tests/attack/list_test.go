package attack

import "testing"

// TestTries is the list of what an attacker in a session tries.
func TestTries(t *testing.T) {
	const root = "root"
	for _, a := range []struct {
		name  string // what is tried
		must  string // what must happen
		try   string
		args  []string
		users []string
		in    []string // profiles
	}{
		{"use what the keeper left open", "only 0, 1 and 2 are", "descriptors", nil, []string{root, attacker}, []string{"plain", "apart", "limited", "filtered"}},
		{"write what another user made without thought", "the umask is a login's", "umask", nil, []string{root, attacker}, []string{"plain", "pid"}},
		{"reach the old root through the first process", "its links are not to be followed", "old-root", nil, []string{root, attacker}, []string{"pid", "apart", "plain"}},
		{"trace the first process or write its memory", "refused", "trace-init", nil, []string{root, attacker}, []string{"pid", "apart", "plain"}},
		{"kill or stop the first process from inside", "nothing happens", "kill-init", nil, []string{root}, []string{"pid", "apart"}},
		{"kill or stop the first process as the user", "refused", "kill-init", nil, []string{attacker}, []string{"plain", "pid", "apart", "theirs"}},
		{"set what the whole machine obeys, as root", "read-only", "knobs", nil, []string{root}, []string{"plain", "pid", "apart", "filtered"}},
		{"set what the whole machine obeys", "refused", "knobs", nil, []string{attacker}, []string{"plain", "pid", "theirs"}},
		{"make a disk's device file", "refused", "devices", nil, []string{root, attacker}, []string{"plain", "pid", "apart"}},
		{"cover or change what runs for the session", "refused", "cover-lib", nil, []string{root, attacker}, []string{"plain", "pid", "apart"}},
		{"the same in a session that the user's own profile made", "refused", "cover-lib", nil, []string{attacker}, []string{"theirs", "theirs-on-the-host"}},
		{"become root by a setuid program of the host", "no_new_privs and nosuid", "setuid-self", nil, []string{attacker}, []string{"theirs", "theirs-on-the-host"}},
		{"undo mounts with the capabilities of a user namespace of one's own", "they are locked", "nested", nil, []string{attacker}, []string{"plain", "pid", "apart", "theirs", "theirs-on-the-host"}},
		{"undo mounts with the capabilities of a user namespace, as root", "they are locked", "nested", nil, []string{root}, []string{"pid", "plain"}},
		{"make the calls that the filter takes away, by their numbers and by x32's", "refused", "calls", nil, []string{root, attacker}, []string{"filtered"}},
		{"talk to the hypervisor", "refused", "vsock", nil, []string{root}, []string{"filtered"}},
		{"talk to the kernel's crypto interface", "refused", "alg", nil, []string{root}, []string{"filtered"}},
		{"plant an overlay's own attributes in a layer", "refused", "xattrs", nil, []string{root, attacker}, []string{"plain", "pid", "apart"}},
		{"fork without end", "the limit ends it, and the session leaves nothing", "tasks", nil, []string{attacker}, []string{"limited"}},
	} {
		t.Run(a.name, func(t *testing.T) {
			for _, user := range a.users {
				for _, profile := range a.in {
					attack(t, user, profile, a.try, a.args...)
				}
			}
			if t.Failed() {
				t.Log("must be: " + a.must)
			}
		})
	}
}
