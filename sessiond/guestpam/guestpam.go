// Package guestpam has guests let in by a service, by lines of pam_ninefold(8) in
// the PAM stack of that service alone, and takes exactly those lines away again.
package guestpam

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/replace"
)

// The errors a caller tells apart.
var (
	// ErrNoService says that PAM has no file for a service.
	ErrNoService = errors.New("PAM knows no such service")
	// ErrFile says that the file of a service is none that can be changed.
	ErrFile = errors.New("the file is not one that can be changed")
)

// dir is where an administrator's PAM stacks lie (pam.d(5)).
const dir = "/etc/pam.d"

// maxFile is more than any stack has.
const maxFile = 256 << 10

const control = "[success=done ignore=ignore module_unknown=ignore default=die]"

// ours are lines that this package wrote, whatever the profile.
var ours = regexp.MustCompile(`^(auth|account|session) ` + regexp.QuoteMeta(control) + ` pam_ninefold\.so guest service=[a-z0-9-]+( profile=\S+)?$`)

// lines are the three lines of a service: the first says who is a guest, the others
// are about those alone.
func lines(service, profile string) (first, last string) {
	rest := " " + control + " pam_ninefold.so guest service=" + service
	auth := "auth" + rest
	if profile != "" {
		auth += " profile=" + profile
	}
	return auth + "\naccount" + rest + "\n", "session" + rest
}

// With returns the text of a service's file with its lines: auth and account
// before everything, since what comes first decides, and session behind
// everything, since the guest's process changes there. A text that has lines of
// ours gets new ones.
func With(text []byte, service, profile string) []byte {
	text = Without(text)
	first, last := lines(service, profile)
	at := begin(text)
	out := append(bytes.Clone(text[:at]), first...)
	out = append(out, text[at:]...)
	if len(text) == 0 || text[len(text)-1] == '\n' {
		return append(out, last+"\n"...)
	}
	return append(out, "\n"+last...)
}

// begin is where the first line begins that is not empty and no comment.
func begin(text []byte) (at int) {
	for line := range bytes.Lines(text) {
		if b := bytes.TrimSpace(line); len(b) > 0 && b[0] != '#' || bytes.HasSuffix(b, []byte(`\`)) {
			return at
		}
		at += len(line)
	}
	if at > 0 && text[at-1] != '\n' {
		return 0 // a comment without an end is the last line
	}
	return at
}

// Without returns a text without lines of ours: what it was before With, byte for
// byte.
func Without(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		switch body, ended := bytes.CutSuffix(line, []byte("\n")); {
		case !ours.Match(body):
			out = append(out, line...)
		case !ended:
			out = bytes.TrimSuffix(out, []byte("\n"))
		}
	}
	return out
}

// Enabled reports whether guests are let in by a service, and the profile that its
// lines name, "" for none. root is put before every path here and below.
func Enabled(root, service string) (has bool, profile string, err error) {
	text, _, err := read(root, service)
	if errors.Is(err, ErrNoService) {
		return false, "", nil
	}
	for line := range bytes.Lines(text) {
		if m := ours.FindSubmatch(bytes.TrimSuffix(line, []byte("\n"))); m != nil {
			has, profile = true, profile+strings.TrimPrefix(string(m[2]), " profile=")
		}
	}
	return has, profile, err
}

// Enable writes the lines of a service, and has lightdm show an entry for guests.
func Enable(root, service, profile string) error {
	err := change(root, service, func(text []byte) []byte { return With(text, service, profile) })
	if err == nil && service == Lightdm {
		err = enableEntry(root, profile)
	}
	return err
}

// Disable takes away what Enable wrote.
func Disable(root, service string) error {
	var err error
	if service == Lightdm {
		err = disableEntry(root)
	}
	return errors.Join(err, without(root, service))
}

func without(root, service string) error {
	err := change(root, service, Without)
	if errors.Is(err, ErrNoService) {
		return nil
	}
	return err
}

func change(root, service string, to func([]byte) []byte) error {
	text, mode, err := read(root, service)
	if err != nil {
		return err
	}
	now := to(text)
	if bytes.Equal(now, text) {
		return nil
	}
	return replace.File(filepath.Join(root, dir, service), now, mode)
}

// read reads the file of a service. What is a link or somebody else's is not
// changed: another program keeps it.
func read(root, service string) ([]byte, fs.FileMode, error) {
	name := filepath.Join(root, dir, service)
	fail := func(err error) ([]byte, fs.FileMode, error) {
		return nil, 0, fmt.Errorf("the PAM stack of %s: %w", service, err)
	}
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(fmt.Errorf("%w: there is no %s", ErrNoService, name))
	}
	if errors.Is(err, unix.ELOOP) {
		return fail(fmt.Errorf("%w: %s is a link", ErrFile, name))
	}
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fail(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != 0 || st.Size > maxFile {
		return fail(fmt.Errorf("%w: %s is not a file of root's of at most %d bytes", ErrFile, name, maxFile))
	}
	text := make([]byte, st.Size)
	if n, err := f.ReadAt(text, 0); n < len(text) {
		return fail(err)
	}
	if strings.ContainsRune(string(text), 0) {
		return fail(fmt.Errorf("%w: %s is no text", ErrFile, name))
	}
	return text, fs.FileMode(st.Mode & 0o7777), nil
}
