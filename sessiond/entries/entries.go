// Package entries keeps the session entries of profiles where greeters look
// for them. It touches no file but those that it made: their names begin with
// "ninefold-" and they carry a mark.
package entries

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/desktop"
)

// Dir is where Sync keeps the directories of the types: sddm and gdm look there
// by themselves, and lightdm by the package's configuration.
const Dir = "/usr/local/share"

// sddm before 0.20 (Debian 12) reads one directory, the distribution's. Greeters
// that read both show one of two entries of a name.
const (
	sddm    = "/usr/bin/sddm"
	sddmDir = "/usr/share"
)

// SyncForSDDM keeps the entries where every sddm looks, where there is one.
func SyncForSDDM(want []desktop.Entry, keep func(profile string) bool) error {
	if _, err := os.Stat(sddm); err != nil {
		want, keep = nil, func(string) bool { return false }
	}
	return Sync(sddmDir, want, keep)
}

// Sync makes the entries of profiles below dir those in want. Of a profile that
// keep names, what is there stays. It goes on after an error, and returns all.
func Sync(dir string, want []desktop.Entry, keep func(profile string) bool) error {
	var errs []error
	for _, t := range desktop.Types {
		files := map[string]string{}
		for _, e := range want {
			if e.Session.Type == t {
				files[e.File()] = e.Text()
			}
		}
		if err := syncType(dir, t, files, keep); err != nil {
			errs = append(errs, fmt.Errorf("session entries in %s/%s: %w", dir, t.Dir(), err))
		}
	}
	return errors.Join(errs...)
}

// syncType works below an opened directory, so that no link that somebody puts
// there (/usr/local may be a group's) leads out of it.
func syncType(dir string, t desktop.Type, files map[string]string, keep func(profile string) bool) error {
	top, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) && len(files) == 0 {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o755); err == nil {
			top, err = os.OpenRoot(dir)
		}
	}
	if err != nil {
		return err
	}
	defer top.Close()
	if len(files) > 0 {
		if err := top.Mkdir(t.Dir(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	root, err := top.OpenRoot(t.Dir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	return syncFiles(root, files, keep)
}

func syncFiles(root *os.Root, files map[string]string, keep func(profile string) bool) error {
	there, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	var errs []error
	same := map[string]bool{}
	for _, e := range there {
		name := e.Name()
		if !strings.HasPrefix(name, "ninefold-") {
			continue
		}
		text, err := read(root, name)
		switch {
		case err != nil || !desktop.Ours(name, text):
			// Somebody else's: it is left, and what would go in its place is not written.
			same[name] = true
		case files[name] == string(text):
			same[name] = true
		case files[name] == "" && !keep(desktop.ProfileOf(desktop.ChoiceOf(name))):
			errs = append(errs, root.Remove(name))
		}
	}
	for name, text := range files {
		if !same[name] {
			errs = append(errs, write(root, name, text))
		}
	}
	return errors.Join(errs...)
}

func read(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	return io.ReadAll(io.LimitReader(f, desktop.MaxSize))
}

// write writes aside, so that no greeter reads half an entry. Greeters take
// files that end in .desktop alone.
func write(root *os.Root, name, text string) error {
	aside := "." + name + ".new"
	if err := root.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(aside, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(aside))
	}
	return nil
}
