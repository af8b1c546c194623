package identity

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// userdbs are where records of users lie that systemd's module reads
// (nss-systemd(8), userdb's drop-in records).
var userdbs = []string{"run/userdb", "run/host/userdb", "etc/userdb", "usr/lib/userdb"}

// services are those of systemd's user database that come with systemd and whose
// ids are others: its own dynamic users are under locks, the homes of homed and the
// users of machines have ranges of their own, and what the rest serve are the
// files and the name services themselves.
var services = []string{
	"io.systemd.DynamicUser", "io.systemd.DropIn", "io.systemd.NameServiceSwitch", "io.systemd.Multiplexer",
	"io.systemd.Home", "io.systemd.Machine",
}

// Taken reports whether an account or a group has the number. Where
// nsswitch.conf(5) names nothing but the files and systemd, what those say is read
// here; otherwise the name services are asked too, which takes a process for each.
// It is for ids of systemd's dynamic range alone: those that systemd itself has
// given away are under locks, which the caller holds.
func (h Host) Taken(ctx context.Context, id uint32) (bool, error) {
	key := strconv.FormatUint(uint64(id), 10)
	found := false
	err := lines(h.etc("passwd"), func(line string) bool {
		u, ok := parsePasswd(line)
		found = ok && (u.UID == id || u.GID == id)
		return !found
	})
	if err != nil || found {
		return found, err
	}
	err = lines(h.etc("group"), func(line string) bool {
		g, ok := parseGroup(line)
		found = ok && g.gid == id
		return !found
	})
	if err != nil || found {
		return found, err
	}
	root := h.root()
	for _, dir := range userdbs {
		for _, name := range []string{key + ".user", key + ".group"} {
			if _, err := os.Lstat(filepath.Join(root, dir, name)); err == nil {
				return true, nil
			} else if !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
	}
	if h.plain(root) {
		return false, nil
	}
	for _, database := range []string{"passwd", "group"} {
		if _, err := h.getent(ctx, database, key); err == nil {
			return true, nil
		} else if !errors.Is(err, ErrNoUser) {
			return false, err
		}
	}
	return false, nil
}

// root is that of the machine whose accounts these are.
func (h Host) root() string {
	if h.Etc == "" {
		return "/"
	}
	return filepath.Dir(h.Etc)
}

// plain reports whether users and groups come from the files and from systemd's
// own sources alone. What cannot be read is not plain.
func (h Host) plain(root string) bool {
	usual := true
	err := lines(h.etc("nsswitch.conf"), func(line string) bool {
		line, _, _ = strings.Cut(line, "#")
		database, sources, ok := strings.Cut(line, ":")
		if database = strings.TrimSpace(database); !ok || database != "passwd" && database != "group" {
			return true
		}
		for _, s := range strings.Fields(sources) {
			// "[NOTFOUND=return]" says what to do, not where to look.
			if !slices.Contains([]string{"files", "systemd", "mymachines"}, s) && !strings.HasPrefix(s, "[") {
				usual = false
			}
		}
		return usual
	})
	if err != nil || !usual {
		return false
	}
	served, err := os.ReadDir(filepath.Join(root, "run/systemd/userdb"))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return err == nil && !slices.ContainsFunc(served, func(e fs.DirEntry) bool { return !slices.Contains(services, e.Name()) })
}
