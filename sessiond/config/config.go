// Package config reads ninefold.toml, what an administrator says about the
// machine as a whole.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/tomlfile"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/profile"
)

// ErrInvalid says that ninefold.toml is wrong.
var ErrInvalid = errors.New("bad configuration")

// FileName is the file in a directory of configuration.
const FileName = "ninefold.toml"

// Config is what ninefold.toml says.
type Config struct {
	Trust Trust `toml:"trust"`
	Login Login `toml:"login"`
	Mount Mount `toml:"mount"`
	// Guests bounds guests that log in.
	Guests Guests `toml:"guests"`
	// Contexts is about host contexts.
	Contexts Contexts `toml:"contexts"`
	// File is where it was read; "" when there is none.
	File string `toml:"-"`
}

// Named are the profiles that logins can get by c, sorted, whether there are
// such or not.
func (c *Config) Named() []string {
	names := append([]string{c.Login.Default}, c.Login.Choose...)
	names = append(names, slices.Collect(maps.Values(c.Login.Users))...)
	names = append(names, c.Guests.Profile)
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" || name == Plain })
}

// Trust is the one place that says whose certificate authorities sessions
// trust.
type Trust struct {
	// CA is "host" (the default): the machine's, with what its administrator
	// added; "image": those that came with the image; or a directory of the
	// host with a ca-certificates.crt in it.
	CA string `toml:"ca"`
}

// Mount says what users may mount into their live views.
type Mount struct {
	// Memory is how much a user may have mounted in memory, such as "512M"; ""
	// is MemoryDefault.
	Memory string `toml:"memory"`
}

// MemoryDefault is what a user may have mounted in memory, in bytes.
const MemoryDefault = 1 << 30

// MemoryBytes is how much a user may have mounted in memory.
func (m Mount) MemoryBytes() int64 {
	n, err := profile.ParseSize(m.Memory)
	if err != nil || n > math.MaxInt64 {
		return MemoryDefault // "", since the file was checked
	}
	return int64(n)
}

// Plain is the choice of no profile: the machine as it is.
const Plain = "none"

// Login says which logins enter what. The zero Login lets none enter anything.
type Login struct {
	// Default is the profile of every login that nothing else names one for;
	// "" or "none" is the machine as it is.
	Default string `toml:"default"`
	// Users are the profiles of single users, by name. They win over Default.
	Users map[string]string `toml:"users"`
	// Choose are the profiles that a user may choose at login, besides their
	// own default.
	Choose []string `toml:"choose"`
	// Own lets users choose profiles of their own, in ~/.config/ninefold/profiles.
	// Their views are untrusted.
	Own bool `toml:"own"`
	// Ask has the person asked which of them it is to be, where the PAM stack
	// has the line for it.
	Ask bool `toml:"ask"`
	// Aliases lets sshd know people as PERSON+PROFILE, where the PAM stack has
	// the lines for it.
	Aliases bool `toml:"aliases"`
	// UIDs are ranges of uids, "FIRST-LAST", whose people enter views besides
	// those that login.defs names: a directory's.
	UIDs []string `toml:"uids"`
	// OnFailure is what happens when a profile cannot be entered: "host" (the
	// default) lets the user in on the machine as it is, "deny" refuses.
	OnFailure string `toml:"on_failure"`
}

// For returns the default profile of user; "" is the machine as it is.
func (l Login) For(user string) string {
	name, ok := l.Users[user]
	if !ok {
		name = l.Default
	}
	if name == Plain {
		return ""
	}
	return name
}

// May reports whether user may choose profile.
func (l Login) May(user, profile string) bool {
	if profile == "" {
		return false // no choice is not one
	}
	return slices.Contains(l.Choose, profile) || profile == l.For(user) || profile == Plain && l.For(user) == ""
}

// Ranges are UIDs, read.
func (l Login) Ranges() []identity.Range {
	var out []identity.Range
	for _, s := range l.UIDs {
		if r, err := identity.ParseRange(s); err == nil { // Load has refused others
			out = append(out, r)
		}
	}
	return out
}

// Deny reports whether a login that cannot enter its profile is refused.
func (l Login) Deny() bool { return l.OnFailure == "deny" }

// Load reads the first ninefold.toml in dirs; none at all is the default
// configuration. An error about its content is ErrInvalid and names the line.
func Load(dirs []string) (Config, error) {
	c := Config{Trust: Trust{CA: "host"}, Contexts: Contexts{Users: true}}
	for _, d := range dirs {
		name := filepath.Join(d, FileName)
		b, err := read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return c, fmt.Errorf("read the configuration: %w", err)
		}
		if err := tomlfile.Decode(name, b, &c); err != nil {
			return c, fmt.Errorf("%w:\n%w", ErrInvalid, err)
		}
		c.File = name
		return c, c.check(b)
	}
	return c, nil
}

func (c *Config) check(data []byte) error {
	index := tomlfile.Index(c.File, data)
	var errs tomlfile.Errors
	bad := func(msg string, key ...string) {
		errs = append(errs, index.Error(ErrInvalid, msg, key...))
	}
	switch ca := c.Trust.CA; {
	case ca == "host" || ca == "image":
	case strings.HasPrefix(ca, "/") && filepath.Clean(ca) == ca:
	default:
		bad(fmt.Sprintf("trust.ca is %q; it is \"host\", \"image\" or an absolute directory", ca), "trust", "ca")
	}
	name := func(s string, key ...string) {
		if s != Plain && !profile.IsName(s) {
			bad(fmt.Sprintf("%q cannot be the name of a profile", s), key...)
		}
	}
	l := c.Login
	if l.Default != "" {
		name(l.Default, "login", "default")
	}
	for user, p := range l.Users {
		name(p, "login", "users", user)
	}
	for _, p := range l.Choose {
		name(p, "login", "choose")
	}
	if m := c.Mount.Memory; m != "" {
		if n, err := profile.ParseSize(m); err != nil || n > math.MaxInt64 {
			bad(fmt.Sprintf("mount.memory is %q; write a size like \"512M\" or \"2G\"", m), "mount", "memory")
		}
	}
	if c.Guests.Profile != "" {
		name(c.Guests.Profile, "guests", "profile")
	}
	c.Guests.check(bad)
	c.Contexts.check(bad)
	for _, s := range l.UIDs {
		if _, err := identity.ParseRange(s); err != nil {
			bad(fmt.Sprintf("login.uids: %v", err), "login", "uids")
		}
	}
	switch l.OnFailure {
	case "", "host", "deny":
	default:
		bad(fmt.Sprintf("login.on_failure is %q; it is \"host\" or \"deny\"", l.OnFailure), "login", "on_failure")
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w:\n%w", ErrInvalid, errs)
	}
	return nil
}

// read reads a regular file of at most tomlfile.MaxSize bytes; a FIFO must not
// make anybody wait.
func read(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > tomlfile.MaxSize {
		return nil, fmt.Errorf("%s is not a regular file of at most %d bytes", name, tomlfile.MaxSize)
	}
	return io.ReadAll(io.LimitReader(f, tomlfile.MaxSize))
}
