package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ninefold/internal/replace"
)

// systemdBoot is systemd-boot, which reads an entry from a file of its own (the
// Boot Loader Specification, "Type #1"). An entry whose name ends in +N has N
// starts left ("Automatic Boot Assessment"): it renames the file before it starts
// it, and sorts those without any last.
type systemdBoot struct {
	dir string // the partition with loader/entries
	// variables are the firmware's (efivarfs).
	variables string
	run       runner
}

const (
	loaderVendor = "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
	entryName    = "ninefold"
	// onceName sorts behind every entry that is not meant for one start, whatever the machine's own are called and
	// whether they have a sort-key: those that have one come first, and the others newest first, by strverscmp(3) of
	// systemd's, in which a leading minus is the oldest.
	onceName = "-" + entryName + ".conf"
)

func (s systemdBoot) name() string { return "systemd-boot" }

func (s systemdBoot) entries() string { return filepath.Join(s.dir, "loader/entries") }

// bootedBy reports whether systemd-boot started this machine.
func bootedBySystemdBoot(variables string) bool {
	b, err := os.ReadFile(filepath.Join(variables, "LoaderInfo"+loaderVendor))
	return err == nil && strings.HasPrefix(utf16Text(b), "systemd-boot")
}

// utf16Text is the ASCII text of a firmware variable: 4 bytes of attributes, then UTF-16LE.
func utf16Text(b []byte) string {
	var out []byte
	for i := 4; i+1 < len(b) && (b[i] != 0 || b[i+1] != 0); i += 2 {
		out = append(out, b[i])
	}
	return string(out)
}

func (s systemdBoot) check(mount) error { return nil }

// stay is an error when an entry that is first in order would not be the one
// that is started.
func (s systemdBoot) stay() error {
	if b, err := os.ReadFile(filepath.Join(s.variables, "LoaderEntryDefault"+loaderVendor)); err == nil && utf16Text(b) != "" {
		return unsupported("take it back with bootctl set-default ''", "systemd-boot was told to start %s", utf16Text(b))
	}
	b, err := readOptional(filepath.Join(s.dir, "loader/loader.conf"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "default" {
			return unsupported("take the line out of it", "%s/loader/loader.conf says which entry is started: %s", s.dir, f[1])
		}
	}
	return nil
}

func (s systemdBoot) entry(entry) error { return os.MkdirAll(s.entries(), 0o755) }

// arm writes the entry. For a while it stands before all others, and for one start
// behind them, where the firmware alone is told of it.
func (s systemdBoot) arm(e entry, tries int) error {
	name, key := onceName, ""
	if e.stays {
		name, key = entryName+"+"+strconv.Itoa(tries)+".conf", "sort-key 00-ninefold\n"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "title %s\n%slinux %s\ninitrd %s\noptions %s\n", e.title, key, e.at.inside(e.kernel), e.at.inside(e.initrd), e.line)
	if err := replace.File(filepath.Join(s.entries(), name), b.Bytes(), 0o644); err != nil {
		return err
	}
	if e.stays {
		return nil
	}
	_, err := s.run(context.Background(), "bootctl", "set-oneshot", "--", onceName)
	return err
}

func (s systemdBoot) disarm() error {
	if b, err := os.ReadFile(filepath.Join(s.variables, "LoaderEntryOneShot"+loaderVendor)); err == nil && strings.HasPrefix(strings.TrimPrefix(utf16Text(b), "-"), entryName) {
		if _, err := s.run(context.Background(), "bootctl", "set-oneshot", ""); err != nil {
			return err
		}
	}
	files, err := s.files()
	for _, f := range files {
		err = errors.Join(err, remove(f))
	}
	return err
}

// files are those of the entry, whatever counts stand in their names.
func (s systemdBoot) files() ([]string, error) {
	list, err := os.ReadDir(s.entries())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var files []string
	for _, f := range list {
		if strings.HasPrefix(f.Name(), entryName+"+") || f.Name() == entryName+".conf" || f.Name() == onceName {
			files = append(files, filepath.Join(s.entries(), f.Name()))
		}
	}
	return files, err
}

func (s systemdBoot) left() (int, bool, error) {
	files, err := s.files()
	if err != nil || len(files) == 0 {
		return 0, false, err
	}
	base := strings.TrimSuffix(filepath.Base(files[0]), ".conf")
	_, count, counted := strings.Cut(base, "+")
	if counted {
		left, _, _ := strings.Cut(count, "-")
		n, err := strconv.Atoi(left)
		return n, false, err
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return 0, false, err
	}
	if bytes.Contains(text, []byte("sort-key 00-")) {
		return 0, true, nil
	}
	if b, err := os.ReadFile(filepath.Join(s.variables, "LoaderEntryOneShot"+loaderVendor)); err == nil && strings.HasPrefix(strings.TrimPrefix(utf16Text(b), "-"), entryName) {
		return 1, false, nil
	}
	return 0, false, nil
}
