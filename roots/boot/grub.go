package boot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/replace"
)

// grub is GRUB as Debian installs it. Its grub.cfg, which the distribution makes
// anew whenever a kernel comes or goes, reads custom.cfg beside it, and that
// is where the entry goes.
type grub struct {
	dir string // with grub.cfg
}

const (
	grubTries = "ninefold_tries"
	// kept is the value of the variable that never counts down.
	kept       = "9"
	blockBegin = "### begin of what sessionctl boot wrote, and sessionctl boot --back takes away\n"
	blockEnd   = "### end of what sessionctl boot wrote\n"
)

func (g grub) name() string { return "GRUB" }

func (g grub) custom() string { return filepath.Join(g.dir, "custom.cfg") }
func (g grub) env() string    { return filepath.Join(g.dir, "grubenv") }

// check is an error when GRUB would not read the entry, or could not count.
func (g grub) check(at mount) error {
	text, err := os.ReadFile(filepath.Join(g.dir, "grub.cfg"))
	if err != nil {
		return fmt.Errorf("read what GRUB starts by: %w", err)
	}
	if !bytes.Contains(text, []byte("/custom.cfg")) {
		return unsupported("make GRUB's configuration anew with update-grub", "%s/grub.cfg does not read custom.cfg", g.dir)
	}
	if at.UUID == "" {
		return unsupported("", "the file system of %s has no UUID by which GRUB finds it", g.dir)
	}
	// grub_util_check_block_device and "diskfilter writes are not supported" in
	// GRUB's own words: there it can read and not write.
	if strings.HasPrefix(at.Source, "/dev/mapper/") || strings.HasPrefix(at.Source, "/dev/dm-") || strings.HasPrefix(at.Source, "/dev/md") {
		return unsupported("give /boot a partition of its own", "%s is on %s, where GRUB cannot count starts down", g.dir, at.Source)
	}
	if !writable[at.Type] {
		return unsupported("give /boot a partition with ext4", "%s is on %s, where GRUB cannot count starts down", g.dir, at.Type)
	}
	block, err := readEnv(g.env())
	if err == nil {
		_, err = SetEnv(block, grubTries, "0")
	}
	return err
}

// writable are file systems on which GRUB's save_env works.
var writable = map[string]bool{"ext2": true, "ext3": true, "ext4": true, "xfs": true, "vfat": true}

// entry writes the entry, which nothing chooses yet.
func (g grub) entry(e entry) error {
	old, err := readOptional(g.custom())
	if err != nil {
		return err
	}
	return replace.File(g.custom(), append(withoutBlock(old), grubBlock(e)...), 0o644)
}

// grubBlock is the entry, and its choice: as long as starts are left, one of
// which is taken away on disk before. Where that cannot be written the entry is
// not chosen, and neither is it when somebody asked for another one by
// grub-reboot(8).
func grubBlock(e entry) []byte {
	var b bytes.Buffer
	b.WriteString(blockBegin)
	fmt.Fprintf(&b, "menuentry %s --id ninefold {\n\tload_video\n\tsearch --no-floppy --fs-uuid --set=root %s\n", grubQuote(e.title), e.at.UUID)
	fmt.Fprintf(&b, "\techo 'Starting on %s ...'\n\tlinux %s %s\n\tinitrd %s\n}\n", strings.ReplaceAll(e.image, "'", ""), grubQuote(e.at.inside(e.kernel)), grubLine(e.line), grubQuote(e.at.inside(e.initrd)))
	b.WriteString("if [ \"${boot_once}\" != true ]; then\n")
	word := "if"
	for n := 1; n <= maxTries; n++ {
		fmt.Fprintf(&b, "\t%s [ \"${%s}\" = %d ]; then\n\t\tset %s=%d\n\t\tif save_env %s; then set default=ninefold; fi\n", word, grubTries, n, grubTries, n-1, grubTries)
		word = "elif"
	}
	fmt.Fprintf(&b, "\telif [ \"${%s}\" = %s ]; then\n\t\tset default=ninefold\n\tfi\nfi\n", grubTries, kept)
	b.WriteString(blockEnd)
	return b.Bytes()
}

// grubQuote quotes a word for GRUB's language, in which only a quote ends one.
func grubQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// grubLine quotes each word of a command line, so that nothing in it is a
// variable or an end of the command. GRUB puts double quotes around those with spaces.
func grubLine(line string) string {
	words := split(line)
	for i, w := range words {
		words[i] = grubQuote(strings.ReplaceAll(w, `"`, ""))
	}
	return strings.Join(words, " ")
}

// withoutBlock is a custom.cfg without what entry wrote. A block that does not
// end is left as it is.
func withoutBlock(text []byte) []byte {
	before, rest, ok := bytes.Cut(text, []byte(blockBegin))
	if !ok {
		return text
	}
	_, after, ok := bytes.Cut(rest, []byte(blockEnd))
	if !ok {
		return text
	}
	return append(bytes.Clone(before), after...)
}

func (g grub) arm(_ entry, tries int) error { return g.set(fmt.Sprint(tries)) }

func (g grub) set(tries string) error {
	block, err := readEnv(g.env())
	if err != nil {
		return err
	}
	if len(block) == 0 && tries == "" {
		return nil
	}
	next, err := SetEnv(block, grubTries, tries)
	if err != nil || bytes.Equal(block, next) {
		return err
	}
	err = replace.File(g.env(), next, 0o644)
	if errors.Is(err, unix.ENOSPC) && len(block) == envSize {
		// On a full partition where it lies, as GRUB does: of a block of this size all or
		// nothing is written.
		err = overwrite(g.env(), next)
	}
	return err
}

// overwrite writes over the beginning of a file, on disk.
func overwrite(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

func (g grub) disarm() error {
	if err := g.set(""); err != nil && !errors.Is(err, ErrEnvironment) {
		return err
	}
	old, err := readOptional(g.custom())
	if err != nil {
		return err
	}
	text := withoutBlock(old)
	switch {
	case len(text) == len(old):
		return nil
	case len(text) == 0:
		return remove(g.custom())
	}
	return replace.File(g.custom(), text, 0o644)
}

// left says how many starts are left, and whether every start is one.
func (g grub) left() (int, bool, error) {
	block, err := readEnv(g.env())
	if err != nil {
		return 0, false, err
	}
	v, err := Env(block, grubTries)
	if err != nil || v == "" {
		return 0, false, err
	}
	if v == kept {
		return 0, true, nil
	}
	return int(v[0] - '0'), false, nil
}

func readEnv(name string) ([]byte, error) {
	b, err := readOptional(name)
	if len(b) > envSize {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrEnvironment, name, len(b))
	}
	return b, err
}

func readOptional(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}
