package guestpam

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ninefold/internal/replace"
)

// Lightdm is the one service whose greeters have an entry for guests. Who takes
// it comes by the service ByEntry, whose stack is that of automatic logins.
const (
	Lightdm      = "lightdm"
	ByEntry      = "lightdm-autologin"
	lightdmDir   = "/etc/lightdm"
	lightdmEntry = lightdmDir + "/lightdm.conf.d/60-ninefold-guest.conf"
)

// entryText has lightdm's greeters show the entry, and says what makes the
// account's name (lightdm.conf: allow-guest, guest-account-script).
var entryText = []byte(`# Written by "sessionctl guest enable", and taken away by "sessionctl guest disable".
[LightDM]
guest-account-script=/usr/lib/ninefold/ninefold-guest-account

[Seat:*]
allow-guest=true
`)

// enableEntry has lightdm show the entry, where it is installed.
func enableEntry(root, profile string) error {
	if _, err := os.Stat(filepath.Join(root, lightdmDir)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err := change(root, ByEntry, func(text []byte) []byte { return With(text, ByEntry, profile) })
	if errors.Is(err, ErrNoService) {
		return nil // of a lightdm without automatic logins
	}
	if err != nil {
		return err
	}
	name := filepath.Join(root, lightdmEntry)
	if err := ourEntry(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("the entry for guests: %w", err)
	}
	return replace.File(name, entryText, 0o644)
}

// disableEntry takes away what enableEntry wrote: the entry first, since without
// the lines nobody comes in by it.
func disableEntry(root string) error {
	name := filepath.Join(root, lightdmEntry)
	err := ourEntry(name)
	if err == nil {
		err = os.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, without(root, ByEntry))
}

// ourEntry says why the file of the entry is not this package's, or nil.
func ourEntry(name string) error {
	text, err := os.ReadFile(name)
	if err == nil && !bytes.Equal(text, entryText) {
		err = fmt.Errorf("the entry for guests: %w: %s is not what was written there", ErrFile, name)
	}
	return err
}
