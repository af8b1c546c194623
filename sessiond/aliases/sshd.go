package aliases

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/internal/regular"
)

// What of sshd_config(5) tells people apart by the name that was typed, and so
// would not see the person behind an alias. The other ones let in by that name alone.
var (
	listing = []string{"allowusers", "denyusers", "allowgroups", "denygroups"}
	matched = []string{"user", "group", "invalid-user"}
	byName  = []string{"hostbasedauthentication", "gssapiauthentication", "kerberosauthentication",
		"trustedusercakeys", "authorizedprincipalsfile", "authorizedprincipalscommand", "authorizedkeyscommand"}
)

const (
	sshdDir    = "/etc/ssh"
	sshdConfig = sshdDir + "/sshd_config"
	maxConfig  = 1 << 20
	maxDepth   = 16
)

// sshdFiles hold what an init script or unit gives sshd on its command line, which
// could name other files and settings.
var sshdFiles = []struct{ name, variable string }{{"/etc/default/ssh", "SSHD_OPTS"}, {"/etc/sysconfig/sshd", "OPTIONS"}}

// sshd reads sshd_config with what it includes.
type sshd struct {
	root string
	pam  bool     // "UsePAM yes" was seen
	why  string   // the first obstacle
	dirs []string // where files were read or looked for
}

// selinux is there where the kernel has a policy. sshd asks for a context by the
// name that was typed.
const selinux = "/sys/fs/selinux/enforce"

// readSSHD says why sshd must not be given aliases, or "", and in which
// directories that is written. The whole text counts, whichever Match block a
// line is in: what is in doubt is an obstacle.
func readSSHD(root string) (why string, dirs []string) {
	s := &sshd{root: root, dirs: []string{sshdDir}}
	s.file(sshdConfig, 0)
	if _, err := os.Stat(filepath.Join(root, selinux)); err == nil {
		s.obstacle("with SELinux sshd picks contexts by the name that is typed")
	}
	if s.why == "" && !s.pam {
		s.why = sshdConfig + " has no \"UsePAM yes\""
	}
	for _, f := range sshdFiles {
		s.dirs = append(s.dirs, filepath.Dir(f.name))
		text, err := regular.Read(filepath.Join(root, f.name), maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if err != nil || name == f.variable && strings.Trim(value, `"' `) != "" {
				s.obstacle("%s gives sshd options of its own", f.name)
			}
		}
	}
	slices.Sort(s.dirs)
	return s.why, slices.Compact(s.dirs)
}

func (s *sshd) obstacle(format string, args ...any) {
	if s.why == "" {
		s.why = fmt.Sprintf(format, args...)
	}
}

func (s *sshd) file(name string, depth int) {
	s.dirs = append(s.dirs, filepath.Dir(name))
	text, err := regular.Read(filepath.Join(s.root, name), maxConfig)
	if err != nil {
		s.obstacle("%s cannot be read: %v", name, err)
		return
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		words := splitLine(line)
		if len(words) == 0 {
			continue
		}
		s.line(fmt.Sprintf("%s:%d", name, n), words, depth)
	}
}

// splitLine splits as sshd does, or finer: at blanks, quotes, commas and '='. It is
// in lower case, but for the names of files.
func splitLine(line string) []string {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return nil
	}
	words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\f\v\r\n\"'=,", r) })
	if len(words) > 0 {
		words[0] = strings.ToLower(words[0])
	}
	return words
}

func (s *sshd) line(at string, words []string, depth int) {
	keyword, args := words[0], words[1:]
	arg := strings.ToLower(strings.Join(args, " "))
	switch {
	case keyword == "include":
		for _, pattern := range args {
			s.include(pattern, depth+1)
		}
	case slices.Contains(listing, keyword):
		s.obstacle("%s tells people apart by the name that they type (%s)", at, keyword)
	case keyword == "match":
		for _, word := range strings.Fields(arg) {
			if slices.Contains(matched, word) {
				s.obstacle("%s tells people apart by the name that they type (match %s)", at, word)
			}
		}
	case slices.Contains(byName, keyword) && arg != "no" && arg != "none":
		s.obstacle("%s lets people in by their name (%s)", at, keyword)
	case keyword == "usepam":
		s.pam = s.pam || arg == "yes"
		if arg != "yes" {
			s.obstacle("%s is not \"UsePAM yes\"", at)
		}
	case keyword == "pamservicename" && arg != "sshd":
		s.obstacle("%s has sshd use another PAM service", at)
	}
}

func (s *sshd) include(pattern string, depth int) {
	if depth > maxDepth {
		s.obstacle("%s includes itself", sshdConfig)
		return
	}
	if !strings.HasPrefix(pattern, "/") {
		pattern = filepath.Join(sshdDir, pattern)
	}
	s.dirs = append(s.dirs, filepath.Dir(pattern))
	found, err := filepath.Glob(filepath.Join(s.root, pattern))
	if err != nil || strings.ContainsAny(filepath.Dir(pattern), "*?[") {
		s.obstacle("what %s includes as %s cannot be followed", sshdConfig, pattern)
	}
	for _, name := range found {
		if st, err := os.Stat(name); err == nil && st.IsDir() {
			continue
		}
		s.file("/"+strings.TrimPrefix(strings.TrimPrefix(name, s.root), "/"), depth)
	}
}
