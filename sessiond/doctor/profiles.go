package doctor

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// profiles makes what the configuration promises, once each.
func (l Login) profiles(ctx context.Context) []Finding {
	if l.Profiles == nil {
		return nil
	}
	const mend = "logins that are to get it stay on the host; see sessionctl profile check, and sessionctl image verify for a damaged image"
	names, err := l.Profiles()
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return []Finding{l.missing("profiles of logins", first, "mend ninefold.toml; the daemon keeps to what was right before, until it is started anew")}
	}
	var out []Finding
	for _, name := range names {
		f := l.ok("profile "+name, "a view of it was made and taken down")
		switch {
		case os.Geteuid() != 0 || l.Try == nil:
			f.State, f.Detail, f.Then = Unknown, "not tried", "run doctor as root to try it"
		default:
			if err := l.Try(ctx, name); err != nil {
				first, _, _ := strings.Cut(err.Error(), "\n")
				f = l.missing(f.Name, first, mend)
			}
		}
		out = append(out, f)
	}
	return out
}

// little is less than a login and its records need.
const little = 1 << 20

// room looks for file systems that are full. What is not there is no concern
// of these findings.
func (l Login) room() []Finding {
	var out []Finding
	seen := map[unix.Fsid]bool{}
	for _, dir := range l.Room {
		var st unix.Statfs_t
		if err := unix.Statfs(l.path(dir), &st); err != nil || seen[st.Fsid] {
			continue
		}
		seen[st.Fsid] = st.Fsid != unix.Fsid{}
		free := st.Bavail * uint64(st.Bsize)
		if free < little || st.Files > 0 && st.Ffree == 0 {
			out = append(out, l.missing("room in "+dir, fmt.Sprintf("%d KiB and %d files are left", free>>10, st.Ffree),
				"make room; logins work as far as they can without it"))
		}
	}
	return out
}
