package contexts

import (
	"archive/tar"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// perCommand is how many paths one command of a recipe removes.
const perCommand = 100

// Recipe is the recipe called name of an image over the machine that is what was
// committed; archive is where its files are, from the directory of the recipe.
func (c *Commit) Recipe(name, from, archive string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\nversion = 1\nname = %s\nsummary = %s\nfrom = \"host\"\n", CommitMark, basic(name), basic("what the context "+from+" adds to the machine"))
	for _, p := range c.Packages {
		if p.Change == "manual" || p.Change == "auto" {
			continue
		}
		auto := ""
		if p.Auto {
			auto = ", for another package"
		}
		fmt.Fprintf(&b, "# %s: %s %s%s\n", p.Change, word(p.Name), word(p.To), auto)
	}
	fmt.Fprintf(&b, "\n[source]\ntarball = %s\nsha256 = %s\n", basic(archive), basic(c.SHA256))
	if len(c.Removed) > 0 {
		b.WriteString("\n[finish]\nrun = [\n")
		for i := 0; i < len(c.Removed); i += perCommand {
			command := "rm -rf --"
			for _, name := range c.Removed[i:min(i+perCommand, len(c.Removed))] {
				command += " '" + strings.ReplaceAll(name, "'", `'\''`) + "'"
			}
			fmt.Fprintf(&b, "  %s,\n", basic(command))
		}
		b.WriteString("]\n")
	}
	return b.String()
}

// CommitMark begins the recipes and the archives that commit wrote, as a comment.
const CommitMark = "Made by sessionctl context commit, which writes it anew with --replace."

// IsCommitted reports whether a file is an archive that Commit wrote.
func IsCommitted(name string) bool {
	f, err := openAt(unix.AT_FDCWD, name)
	if err != nil {
		return false
	}
	defer f.Close()
	h, err := tar.NewReader(f).Next()
	return err == nil && h.Typeflag == tar.TypeXGlobalHeader && h.PAXRecords["comment"] == CommitMark
}

// basic is a basic string of TOML.
func basic(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// word keeps what dpkg says within a line of comment.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, s)
}
