package aliases

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/replace"
)

// Dir is where systemd looks for user records that last until the next boot
// (nss-systemd(8)).
const Dir = "/run/userdb"

const suffix = ".user"

// Sync makes our records in dir those in want, and touches no other file. It
// goes on after an error, and returns all.
func Sync(dir string, want map[string]string) error {
	if len(want) > 0 {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("records of names: %w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("records of names: %w", err)
	}
	defer root.Close()
	there, err := ours(root)
	if err != nil {
		return fmt.Errorf("records of names in %s: %w", dir, err)
	}
	var errs []error
	for name := range there {
		if want[name] == "" {
			errs = append(errs, root.Remove(name+suffix))
		}
	}
	for name, text := range want {
		if there[name] == text {
			continue
		}
		if _, err := root.Lstat(name + suffix); err == nil && there[name] == "" {
			continue // somebody else's
		}
		errs = append(errs, replace.File(filepath.Join(dir, name+suffix), []byte(text), 0o644))
	}
	return errors.Join(errs...)
}

// Records are the names for which dir holds records of ours.
func Records(dir string) (map[string]string, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return ours(root)
}

func ours(root *os.Root) (map[string]string, error) {
	files, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), suffix)
		if !ok || !strings.Contains(name, "+") {
			continue
		}
		if text, err := read(root, f.Name()); err == nil && strings.HasPrefix(text, start) {
			found[name] = text
		}
	}
	return found, nil
}

// maxRecord is more than a record of ours has.
const maxRecord = 16 << 10

func read(root *os.Root, name string) (string, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	return string(b), err
}
