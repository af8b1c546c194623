package manager

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ninefold/internal/regular"
	"ninefold/roots/compat"
	"ninefold/roots/image"
)

// stackVersion changes when a stack would hold something else for the same
// images.
const stackVersion = 2

// stack is what a session on images stands on, decided. It is kept with the
// store, so that a session start reads one small record and decides nothing.
type stack struct {
	Version int
	// Stamp is the host's when the decision looked at the host; the stack
	// holds while the host's packages stay the same.
	Stamp string
	// Decision of a kept stack is empty until explain reads why.
	Decision Decision
	why      string
	// Pieces are topmost first; the host's root comes below when OnHost.
	Pieces []piece
	OnHost bool
	// Removed are paths of the host, with a slash in front and sorted, that the
	// pieces remove.
	Removed []string
	// Environment is what the images fix, the topmost counts.
	Environment map[string]string
	Facts       *imageFacts
}

// piece is an image, or the part of it above one of its ancestors.
type piece struct {
	Image image.ID
	Name  string
	// Above is the ancestor that is left out with everything below it; zero
	// leaves out nothing.
	Above image.ID
}

// Decision says how a runtime and a base were joined, and why.
type Decision struct {
	// Kind is "host" or "image" (a base alone), "merge" or "full".
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	// Missing is what kept the runtime from being merged.
	Missing []compat.Missing `json:"missing,omitempty"`
	// Hidden are files of the base that the runtime's caches would have hidden.
	Hidden []string `json:"hidden,omitempty"`
}

// question is everything a stack is decided from.
type question struct {
	base       image.ID // zero: the host
	runtime    image.ID
	components []image.ID
	compose    string
}

func (q question) key() string {
	h := sha256.New()
	fmt.Fprintf(h, "stack %d\n%s\n%s\n%s\n", stackVersion, q.base, q.runtime, q.compose)
	for _, c := range q.components {
		fmt.Fprintln(h, c)
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}

const suffix = ".record"

// derived is where records lie that can be made again from the store.
func (m *Manager) derived(kind, key string) string {
	return filepath.Join(m.state, "derived", kind, key+suffix)
}

const maxRecord = 16 << 20

// readStack returns the kept stack; nil when there is none that holds.
func (m *Manager) readStack(q question) *stack {
	b, err := regular.Read(m.derived("stacks", q.key()), maxRecord)
	if err != nil {
		return nil
	}
	s, err := decodeStack(b)
	if err != nil {
		return nil // of another version, or damaged: decide again
	}
	if s.Stamp != "" && s.Stamp != compat.Stamp(m.host.root) {
		return nil
	}
	return s
}

// keepStack keeps what was decided.
func (m *Manager) keepStack(q question, s *stack) error {
	b, err := encodeStack(s)
	if err != nil {
		return err
	}
	return writeRecord(m.derived("stacks", q.key()), b)
}

// writeRecord keeps b. What is kept saves time and nothing else: where it
// cannot be written (a full or read-only state directory) it is made again.
func writeRecord(name string, b []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	// Not synced: what a power cut leaves does not decode, and is made again.
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// sweepRecords removes the records of kind that keep refuses, and what a
// killed process left behind.
func (m *Manager) sweepRecords(kind string, keep func(file string) bool) error {
	dir := filepath.Dir(m.derived(kind, "x"))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if file := filepath.Join(dir, e.Name()); !strings.HasSuffix(e.Name(), suffix) || !keep(file) {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// nameOf is a record's file name without directory and suffix.
func nameOf(file string) string { return strings.TrimSuffix(filepath.Base(file), suffix) }
