package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"ninefold/sessiond/broker/program"
	"ninefold/sessiond/broker/wire"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/policy"
)

// command is a request that was understood: what would run on the host.
type command struct {
	request *wire.Request
	program *program.Program
	// argv is the whole of it; its first word is a name of the program.
	argv   []string
	target identity.User
	// dir is where it starts; "" is the target's home. notices are for the
	// person who asked.
	dir     string
	notices []string
	// place, if it is set, is what dir leads to, and is open until the command ends.
	place *os.File
	// shell is a login shell that nobody named; in is the view that the command
	// goes on to, "" for the host.
	shell bool
	in    string

	decision policy.Decision
}

// maxExecute bounds a command with what the kernel needs to hold it; the
// environment has the rest.
const maxExecute = wire.MaxArguments - 64<<10

// understand finds out what a request comes to on the host. files are those
// that came along, in the order of the wire.
func (b *Broker) understand(ctx context.Context, who *caller, r *wire.Request, files []wire.FD) (*command, *refusal) {
	c := &command{request: r}
	if r.In != "" {
		return c, b.elsewhere(who, c)
	}
	if r.Guest != "" {
		return c, b.guest(ctx, who, c)
	}
	if r.Context {
		return c, b.context(ctx, who, c)
	}
	name := r.User
	if name == "" {
		name = "root"
	}
	var err error
	if c.target, err = b.people.byName(ctx, name); err != nil {
		if errors.Is(err, identity.ErrNoUser) {
			return nil, &refusal{wire.Mistaken, fmt.Errorf("there is no user %q on the host", name), ""}
		}
		return nil, &refusal{wire.NotStarted, err, ""}
	}
	word := ""
	if len(r.Argv) == 0 {
		c.shell = true
		word = c.target.Shell
		if word == "" {
			word = "/bin/sh"
		}
	} else {
		word = r.Argv[0]
	}
	if c.program, err = program.Find(word); err != nil {
		if b.unseen(who, c, word) {
			return c, nil
		}
		return nil, unfound(err)
	}
	switch {
	case c.shell:
		// What makes a shell one of a login (login(1)).
		c.argv = []string{"-" + c.program.Name}
	case word == c.program.Name:
		c.argv = append([]string{word}, r.Argv[1:]...)
	default:
		// The name decides what some programs are, so it is the one that was
		// found, never one of the caller's.
		c.argv = append([]string{c.program.Path}, r.Argv[1:]...)
	}
	if refused := fits(c.argv); refused != nil {
		return nil, refused
	}
	c.decision = b.decide(who, c)
	if c.decision.Verdict == policy.Deny {
		return c, nil // what else is wrong is nobody's business
	}
	if err := c.program.May(c.target.UID, c.target.Groups); err != nil {
		return nil, unfound(err)
	}
	if r.File > 0 {
		f, err := b.sameFile(r.Argv[r.File], files[len(files)-1], who)
		if err != nil {
			return nil, &refusal{wire.NotFound, err, "only files that are the same on the host can be handed to it"}
		}
		f.Close()
	}
	b.place(who, c, files)
	return c, nil
}

// unseen reports whether word lies where the caller may not look and no rule
// allows it. The answer is then the same as for a program that is there, or it
// would tell what is in root's directories.
func (b *Broker) unseen(who *caller, c *command, word string) bool {
	if !filepath.IsAbs(word) || !program.Closed(word, who.user.UID, who.user.Groups) {
		return false
	}
	c.program = &program.Program{Path: filepath.Clean(word), File: filepath.Clean(word), Name: filepath.Base(word)}
	c.argv = append([]string{word}, c.request.Argv[min(1, len(c.request.Argv)):]...)
	c.decision = b.decide(who, c)
	return c.decision.Verdict == policy.Deny
}

func unfound(err error) *refusal {
	switch {
	case errors.Is(err, program.ErrNotFound):
		return &refusal{wire.NotFound, err, ""}
	case errors.Is(err, program.ErrNotRoots):
		return &refusal{wire.Denied, err, "only programs that nobody but root can change are run on the host"}
	}
	return &refusal{wire.NotExecutable, err, ""}
}

// fits refuses what could not be handed to systemd or to the kernel as it is.
func fits(argv []string) *refusal {
	size := 0
	for i, a := range argv {
		size += len(a) + 9 // its end, and where it is
		if !utf8.ValidString(a) {
			return &refusal{wire.Mistaken, fmt.Errorf("argument %d is not UTF-8, and systemd takes nothing else", i), ""}
		}
	}
	if size > maxExecute {
		return &refusal{wire.Mistaken, fmt.Errorf("the command has %d bytes, and the kernel takes about %d", size, maxExecute), ""}
	}
	return nil
}

// decide asks the policy about exactly what would be executed.
func (b *Broker) decide(who *caller, c *command) policy.Decision {
	q := policy.Request{
		Profile: who.place.Profile, Kind: policy.Local, User: who.user.Name, UID: who.peer.UID, Groups: who.groups(),
		Target: c.target.Name, Program: c.program.Path, Args: c.argv[1:], Session: who.session,
	}
	if c.program.File != c.program.Path {
		q.File = c.program.File
	}
	return b.Policy().Decide(q)
}

// elsewhere makes c a command in another view of the caller's. No rule is
// asked: it is the caller's own session, and the command runs as the caller.
func (b *Broker) elsewhere(who *caller, c *command) *refusal {
	view, err := b.View(who.peer.UID, c.request.In)
	if err != nil {
		return &refusal{wire.NotFound, err, "sessionctl list shows your sessions"}
	}
	c.in, c.target = view, who.user
	c.program = &program.Program{Path: b.Enter, File: b.Enter, Name: filepath.Base(b.Enter)}
	c.argv = append([]string{"sessionctl", "enter", view, "--"}, c.request.Argv...)
	if len(c.request.Argv) == 0 {
		c.argv = c.argv[:3]
	}
	if refused := fits(c.argv); refused != nil {
		return refused
	}
	c.dir = "/"
	c.decision = policy.Decision{Verdict: policy.Allow, Why: "it is a session of your own"}
	return nil
}

// shown is the command as a record may tell it: one line of bounded length
// without what the rule hides.
func (c *command) shown() string {
	if c.program == nil {
		return line(c.argv[:min(1, len(c.argv))]) // no rule says what of the rest may be told
	}
	args := c.argv[1:]
	if c.in != "" {
		return line(append([]string{"in view " + c.in + ":"}, c.request.Argv...))
	}
	if profile := c.request.Guest; profile != "" {
		return line(append([]string{"as a guest in " + profile + ":"}, c.request.Argv...))
	}
	if c.request.Context {
		return line(append([]string{"about a context:"}, c.request.Argv...))
	}
	return line(append([]string{c.program.Path}, c.decision.Redact.Apply(args)...))
}

// root reports whether it runs as root on the host.
func (c *command) root() bool { return c.target.UID == 0 || c.in != "" }

// environment is built from nothing: what the host says of the target, and of
// the caller's what can only choose a language and a terminal.
func (c *command) environment(who *caller) []string {
	u := c.target
	home, shell := u.Home, u.Shell
	if home == "" {
		home = "/"
	}
	if shell == "" {
		shell = "/bin/sh"
	}
	env := []string{
		"HOME=" + home, "USER=" + u.Name, "LOGNAME=" + u.Name, "SHELL=" + shell, "PATH=" + program.SearchPath(),
		"NINEFOLD_CALLER=" + who.user.Name, fmt.Sprintf("NINEFOLD_CALLER_UID=%d", who.peer.UID),
	}
	if dir := fmt.Sprintf("/run/user/%d", u.UID); u.UID != 0 && u.UID == who.peer.UID && isDir(dir) {
		env = append(env, "XDG_RUNTIME_DIR="+dir, "DBUS_SESSION_BUS_ADDRESS=unix:path="+dir+"/bus")
	}
	return append(env, allowed(c.request.Environment, u.UID == who.peer.UID, u)...)
}

func isDir(name string) bool {
	st, err := os.Lstat(name)
	return err == nil && st.IsDir()
}

// allowed picks from a caller's environment. A value that could be a path is
// none of these: libraries open files by LANG and TERM.
func allowed(environment []string, self bool, u identity.User) []string {
	var out []string
	seen := map[string]bool{}
	for _, e := range environment {
		name, value, ok := strings.Cut(e, "=")
		if !ok || seen[name] || len(value) > 128 {
			continue
		}
		switch {
		case name == "TERM" || name == "COLORTERM":
			ok = only(value, "+-._")
		case name == "LANG" || name == "LANGUAGE" || strings.HasPrefix(name, "LC_") && only(name, "_"):
			ok = only(value, "@-._:")
		case name == "DISPLAY":
			ok = self && only(value, ":.-")
		case name == "WAYLAND_DISPLAY":
			ok = self && only(value, "-_")
		case name == "XAUTHORITY":
			// Where the caller, who is the target, could write anyway.
			clean := filepath.Clean(value) == value
			ok = self && clean && only(value, "/._-") &&
				(strings.HasPrefix(value, u.Home+"/") || strings.HasPrefix(value, fmt.Sprintf("/run/user/%d/", u.UID)))
		default:
			ok = false
		}
		if ok {
			seen[name] = true
			out = append(out, e)
		}
	}
	slices.Sort(out)
	return out
}

// only reports whether s consists of ASCII letters, digits and others.
func only(s, others string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return s != ""
}
