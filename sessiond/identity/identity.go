// Package identity finds out who a session is for, and writes the passwd and
// group files by which a session's root knows that person.
package identity

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNoUser says that no user of that name or number exists.
var ErrNoUser = errors.New("no such user")

// User is an account of the host.
type User struct {
	Name     string
	UID, GID uint32
	Comment  string
	Home     string
	Shell    string
	// Groups are the supplementary groups and GID, sorted, each once.
	Groups []uint32
	// GroupNames name Groups where the host knows a name.
	GroupNames map[uint32]string
	// Directory says that the account is not in the host's passwd file.
	Directory bool
}

const (
	// maxLine bounds a line of passwd or group; a group can list thousands.
	maxLine = 1 << 20
	// maxFile bounds passwd and group themselves.
	maxFile = 64 << 20
	// directory is how long a network directory may take to answer.
	directoryTimeout = 10 * time.Second
)

// Host finds users of the machine: in the files below Etc first, and by
// getent(1), which asks every source that nsswitch.conf names, when they are
// not there. The zero Host looks in /etc.
type Host struct {
	// Etc is where passwd and group lie; "" is /etc.
	Etc string
	// Getent is the program to ask; "" is getent in /usr/bin and /bin.
	Getent string
}

// ByName finds a user by name, or by number in decimal.
func (h Host) ByName(ctx context.Context, name string) (User, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return h.ByUID(ctx, uint32(n))
	}
	if strings.ContainsAny(name, ":\n\x00") || name == "" {
		return User{}, fmt.Errorf("user %q: %w", name, ErrNoUser)
	}
	return h.find(ctx, name, func(u User) bool { return u.Name == name })
}

// ByUID finds a user by number.
func (h Host) ByUID(ctx context.Context, uid uint32) (User, error) {
	return h.find(ctx, strconv.FormatUint(uint64(uid), 10), func(u User) bool { return u.UID == uid })
}

// HasGroup reports whether there is a group of that name.
func (h Host) HasGroup(ctx context.Context, name string) (bool, error) {
	if strings.ContainsAny(name, ":\n\x00") || name == "" {
		return false, nil
	}
	found := false
	err := lines(h.etc("group"), func(line string) bool {
		g, ok := parseGroup(line)
		found = ok && g.name == name
		return !found
	})
	if err != nil || found {
		return found, err
	}
	out, err := h.getent(ctx, "group", name)
	if errors.Is(err, ErrNoUser) {
		return false, nil
	}
	g, ok := parseGroup(strings.TrimSuffix(out, "\n"))
	return ok && g.name == name, err
}

func (h Host) find(ctx context.Context, key string, match func(User) bool) (User, error) {
	u, err := h.inFile(match)
	if err == nil {
		return u, h.groups(ctx, &u, false)
	}
	if !errors.Is(err, ErrNoUser) {
		return User{}, err
	}
	out, err := h.getent(ctx, "passwd", key)
	if err != nil {
		return User{}, fmt.Errorf("user %q: %w", key, err)
	}
	u, ok := parsePasswd(strings.TrimSuffix(out, "\n"))
	if !ok || !match(u) {
		return User{}, fmt.Errorf("user %q: %w", key, ErrNoUser)
	}
	u.Directory = true
	return u, h.groups(ctx, &u, true)
}

// Local returns the accounts of the passwd file, without their groups.
func (h Host) Local() ([]User, error) {
	var out []User
	err := lines(h.etc("passwd"), func(line string) bool {
		if u, ok := parsePasswd(line); ok {
			out = append(out, u)
		}
		return true
	})
	return out, err
}

// Accounts returns the text of the host's passwd and group.
func (h Host) Accounts() (Accounts, error) {
	var a Accounts
	for name, into := range map[string]*string{"passwd": &a.Passwd, "group": &a.Group} {
		var b strings.Builder
		err := lines(h.etc(name), func(line string) bool {
			b.WriteString(line + "\n")
			return true
		})
		if err != nil {
			return a, err
		}
		*into = b.String()
	}
	return a, nil
}

func (h Host) etc(name string) string {
	if h.Etc == "" {
		return "/etc/" + name
	}
	return filepath.Join(h.Etc, name)
}

func (h Host) inFile(match func(User) bool) (User, error) {
	var found User
	err := lines(h.etc("passwd"), func(line string) bool {
		u, ok := parsePasswd(line)
		if ok && match(u) {
			found = u
			return false
		}
		return true
	})
	if err == nil && found.Name == "" {
		err = ErrNoUser
	}
	return found, err
}

// groups fills in the groups of u. A user from a directory has groups there
// too.
func (h Host) groups(ctx context.Context, u *User, directory bool) error {
	u.GroupNames = map[uint32]string{}
	u.Groups = []uint32{u.GID}
	err := lines(h.etc("group"), func(line string) bool {
		g, ok := parseGroup(line)
		if !ok {
			return true
		}
		member := slices.Contains(g.members, u.Name)
		if member {
			u.Groups = append(u.Groups, g.gid)
		}
		if _, named := u.GroupNames[g.gid]; !named && (member || g.gid == u.GID) {
			u.GroupNames[g.gid] = g.name
		}
		return true
	})
	if err != nil {
		return err
	}
	if directory {
		if err := h.directoryGroups(ctx, u); err != nil {
			return err
		}
	}
	slices.Sort(u.Groups)
	u.Groups = slices.Compact(u.Groups)
	return nil
}

func (h Host) directoryGroups(ctx context.Context, u *User) error {
	out, err := h.getent(ctx, "initgroups", u.Name)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return fmt.Errorf("groups of %s: %w", u.Name, err)
	}
	fields := strings.Fields(out)
	for _, f := range fields[min(1, len(fields)):] {
		if n, err := strconv.ParseUint(f, 10, 32); err == nil {
			u.Groups = append(u.Groups, uint32(n))
		}
	}
	for _, gid := range u.Groups {
		if _, named := u.GroupNames[gid]; named {
			continue
		}
		out, err := h.getent(ctx, "group", strconv.FormatUint(uint64(gid), 10))
		if errors.Is(err, ErrNoUser) {
			continue
		}
		if err != nil {
			return fmt.Errorf("name of group %d: %w", gid, err)
		}
		if g, ok := parseGroup(strings.TrimSuffix(out, "\n")); ok && g.gid == gid {
			u.GroupNames[gid] = g.name
		}
	}
	return nil
}

// getent asks the host's name services in a process of its own: they are C
// libraries, which a Go program without cgo cannot load and should not.
func (h Host) getent(ctx context.Context, database, key string) (string, error) {
	program := h.Getent
	if program == "" {
		for _, p := range []string{"/usr/bin/getent", "/bin/getent"} {
			if _, err := os.Stat(p); err == nil {
				program = p
				break
			}
		}
		if program == "" {
			return "", ErrNoUser
		}
	}
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--", database, key)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return string(out), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("ask the name service with getent: %w", ctx.Err())
	case errors.As(err, &exit) && (exit.ExitCode() == 2 || exit.ExitCode() == 1):
		return "", ErrNoUser // 2: key not found, 1: unknown database
	}
	return "", fmt.Errorf("ask the name service with %s: %w", program, err)
}

// lines calls each for every line of the file name until it returns false.
func lines(name string, each func(string) bool) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read accounts: %w", err)
	}
	defer f.Close()
	s := bufio.NewScanner(io.LimitReader(f, maxFile))
	s.Buffer(make([]byte, 0, 4096), maxLine)
	for s.Scan() {
		if !each(s.Text()) {
			return nil
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read accounts in %s: %w", name, err)
	}
	return nil
}

func parsePasswd(line string) (User, bool) {
	f := strings.Split(line, ":")
	if len(f) != 7 || f[0] == "" || strings.HasPrefix(f[0], "#") {
		return User{}, false
	}
	uid, err1 := strconv.ParseUint(f[2], 10, 32)
	gid, err2 := strconv.ParseUint(f[3], 10, 32)
	if err1 != nil || err2 != nil {
		return User{}, false
	}
	return User{Name: f[0], UID: uint32(uid), GID: uint32(gid), Comment: f[4], Home: f[5], Shell: f[6]}, true
}

type group struct {
	name    string
	gid     uint32
	members []string
}

func parseGroup(line string) (group, bool) {
	f := strings.Split(line, ":")
	if len(f) != 4 || f[0] == "" || strings.HasPrefix(f[0], "#") {
		return group{}, false
	}
	gid, err := strconv.ParseUint(f[2], 10, 32)
	if err != nil {
		return group{}, false
	}
	return group{name: f[0], gid: uint32(gid), members: strings.Split(f[3], ",")}, true
}
