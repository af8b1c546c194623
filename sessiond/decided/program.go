package decided

import (
	"os"
	"path/filepath"
)

// Installed is where Ninefold's own programs lie that are not meant for people.
const Installed = "/usr/lib/ninefold"

// Program returns the file name of one of Ninefold's own programs that is not
// meant for people: beside the running program (a build tree, or a private
// directory), in ../lib/ninefold as installed, or in /usr/lib/ninefold. It is
// "" when there is none.
func Program(name string) string {
	dirs := []string{Installed}
	if self, err := os.Executable(); err == nil {
		dir := filepath.Dir(self)
		dirs = []string{dir, filepath.Join(dir, "../lib/ninefold"), Installed}
	}
	for _, d := range dirs {
		p := filepath.Join(d, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// First is the program that is a session's first process.
const First = "ninefold-init"

// Terminal is the type of the terminal in front of the caller, from TERM; "" for
// none, and for what does not look like the name of a type.
func Terminal() string {
	s := os.Getenv("TERM")
	if len(s) > 64 {
		return ""
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' && r != '+' {
			return ""
		}
	}
	return s
}
