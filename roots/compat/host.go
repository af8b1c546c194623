package compat

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Host is the running machine, or another tree on disk, as a Base. Only files
// that are asked for are read.
type Host struct {
	root string
	dirs []string // absolute below root, in the linker's order
}

// NewHost prepares to look below root, "/" for the machine itself. Root is
// trusted: symbolic links in it are followed as the kernel does.
func NewHost(root string) (*Host, error) {
	h := &Host{root: root}
	paths := []string{filepath.Join(root, "etc/ld.so.conf")}
	more, err := filepath.Glob(filepath.Join(root, "etc/ld.so.conf.d/*.conf"))
	if err != nil {
		return nil, fmt.Errorf("list the linker's configuration: %w", err)
	}
	for _, p := range append(paths, more...) {
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the linker's configuration: %w", err)
		}
		dirs, err := linkerConf(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("read the linker's configuration %s: %w", p, err)
		}
		h.dirs = append(h.dirs, dirs...)
	}
	h.dirs = append(h.dirs, "lib64", "lib", "usr/lib64", "usr/lib", "lib32", "usr/lib32")
	for _, parent := range []string{"lib", "usr/lib"} {
		entries, err := os.ReadDir(filepath.Join(root, parent))
		if err != nil {
			continue // a machine without it has no library there either
		}
		for _, e := range entries {
			if d := path.Join(parent, e.Name()); e.IsDir() && defaultDir(d) {
				h.dirs = append(h.dirs, d)
			}
		}
	}
	return h, nil
}

// Library implements Base.
func (h *Host) Library(soname string, abi ABI) ([]string, bool, error) {
	if strings.Contains(soname, "/") {
		return nil, false, nil
	}
	for _, d := range h.dirs {
		f, err := os.Open(filepath.Join(h.root, d, soname))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if defines, ok, err := readLibrary(f, abi); ok || err != nil {
			return defines, ok, err
		}
	}
	return nil, false, nil
}

// Exists implements Base.
func (h *Host) Exists(name string) (bool, error) {
	_, err := os.Stat(filepath.Join(h.root, name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	return err == nil, err
}

// watched are the files that a package manager or the linker's cache rewrites
// whenever the host's packages change: dpkg, rpm, apk, pacman.
var watched = []string{
	"var/lib/dpkg/status", "var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite",
	"lib/apk/db/installed", "var/lib/pacman/local", "etc/ld.so.cache", "etc/os-release",
}

// Watched returns the names of the files that Stamp looks at.
func Watched(root string) []string {
	names := make([]string, len(watched))
	for i, name := range watched {
		names[i] = filepath.Join(root, name)
	}
	return names
}

// Stamp returns a short text that differs after the packages of the machine
// below root changed. It costs a few stat calls and reads nothing.
func Stamp(root string) string {
	h := sha256.New()
	for _, name := range watched {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(root, name), &st) != nil {
			continue
		}
		fmt.Fprintf(h, "%s %d %d %d.%09d\n", name, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Changed returns when the packages of the machine below root changed last; the
// zero time when that cannot be told.
func Changed(root string) (last time.Time) {
	for _, name := range watched {
		if st, err := os.Stat(filepath.Join(root, name)); err == nil && st.ModTime().After(last) {
			last = st.ModTime()
		}
	}
	return last
}

// maxStatus bounds the dpkg status file; a machine with 5,000 packages has 6 MB.
const maxStatus = 256 << 20

// Fingerprint names the set of packages, with versions, on the machine below
// root: two machines with the same packages have the same one. A machine
// without dpkg has none, and gets an error.
func Fingerprint(root string) (string, error) {
	f, err := os.Open(filepath.Join(root, "var/lib/dpkg/status"))
	if err != nil {
		return "", fmt.Errorf("read the host's packages: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxStatus))
	if err != nil {
		return "", fmt.Errorf("read the host's packages: %w", err)
	}
	var lines []string
	for para := range strings.SplitSeq(string(text), "\n\n") {
		var name, version, arch string
		installed := false
		for line := range strings.Lines(para) {
			line = strings.TrimSuffix(line, "\n")
			switch key, value, _ := strings.Cut(line, ": "); key {
			case "Package":
				name = value
			case "Version":
				version = value
			case "Architecture":
				arch = value
			case "Status":
				installed = strings.HasSuffix(value, " installed")
			}
		}
		if installed && name != "" {
			lines = append(lines, name+":"+arch+" "+version)
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:]), nil
}
