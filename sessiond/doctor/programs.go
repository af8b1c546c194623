package doctor

import (
	"os"
	"os/exec"
)

// needed are the programs that Ninefold starts, and what without them.
var needed = []struct {
	name, purpose string
	state         State
	then          string
}{
	{"apt-get", "solving Debian packages", Missing, "images can be built from lock files only; install apt"},
	{"xz", "unpacking packages", Fallback, "packages are unpacked by Ninefold itself, more slowly; install xz-utils"},
	{"mksquashfs", "image export --to squashfs", Missing, "images can be exported in every other form; install squashfs-tools"},
	{"sqfs2tar", "image import of squashfs files", Missing, "squashfs files cannot be imported; install squashfs-tools-ng"},
	{"git", "recipes from git", Missing, "recipes cannot be fetched from git; install git"},
	{"getent", "users from a directory (LDAP, SSSD)", Missing, "only users in /etc/passwd are found; install libc-bin"},
}

func programs(initFile string) []Finding {
	first := Finding{Area: "programs", Name: "ninefold-init", State: OK, Detail: initFile}
	if st, err := os.Stat(initFile); initFile == "" || err != nil || st.Mode()&0o111 == 0 {
		first.State, first.Then = Missing, "sessions have no first process; run make build, or install Ninefold's package again"
	}
	out := []Finding{first}
	for _, p := range needed {
		f := Finding{Area: "programs", Name: p.name, State: OK, For: p.purpose}
		path, err := exec.LookPath(p.name)
		if err != nil {
			f.State, f.Then = p.state, p.then
		}
		f.Detail = path
		out = append(out, f)
	}
	return out
}
