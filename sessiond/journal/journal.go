// Package journal keeps the daemon's records of live views, so that a daemon
// that was stopped, upgraded or killed finds them again. It lies in /run: a
// record means nothing after the machine has started anew.
//
// Each is a file of its own in the form of package record. A record of a newer
// version is left untouched.
package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ninefold/internal/record"
)

// kind is of the records; one holds thousands of sessions in one view.
var kind = record.Kind{Magic: "9foldvw\n", Version: 2, Oldest: 1, Max: 4 << 20}

// Process names a process for good: a pid and when it started, in clock ticks
// since boot. The zero Process is none.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// Session is one login in a view.
type Session struct {
	ID      string    `json:"id"`
	Service string    `json:"service"`
	TTY     string    `json:"tty"`
	Rhost   string    `json:"rhost"`
	Leader  Process   `json:"leader"`
	Since   time.Time `json:"since"`
}

// Record is what is kept of a view.
type Record struct {
	ID      string `json:"id"`
	UID     uint32 `json:"uid"`
	User    string `json:"user"`
	Profile string `json:"profile"`
	Class   string `json:"class"`
	// Plan is the view's namespace file, and Layers what it was made of.
	Plan        string   `json:"plan"`
	Layers      []string `json:"layers"`
	Environment []string `json:"environment"`
	Notes       []string `json:"notes"`
	Isolated    []string `json:"isolated"`
	// Lacks are programs that the host has and the root does not: "sftp", "xsession", "xauth".
	Lacks []string `json:"lacks"`
	// Holder pins the namespaces; none until the view is made.
	Holder  Process   `json:"holder"`
	MountNS uint64    `json:"mount_ns"`
	Scope   string    `json:"scope"`
	Created time.Time `json:"created"`
	// Manager is the user manager that was let in.
	Manager  Process   `json:"manager"`
	Sessions []Session `json:"sessions"`
	// Unit is the user manager of the view's own, which has /run/user/UID to
	// itself; "" in a view that user@UID.service may be in. Since version 2.
	Unit string `json:"unit,omitempty"`
}

// RecordVersion is the oldest that has what is in r.
func (r *Record) RecordVersion() uint32 {
	if r.Unit != "" {
		return 2
	}
	return kind.Oldest
}

// Journal is a directory of records. Its methods may be called by several
// goroutines; those of one ID must be in order.
type Journal struct{ dir string }

// Open returns the journal in dir, which is made if there is none, for root
// alone.
func Open(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	j := &Journal{dir: dir}
	// What a killed writer left.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), record.Aside) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	return j, nil
}

// Write puts a record in place of the one of its ID.
func (j *Journal) Write(r *Record) error {
	if !isID(r.ID) {
		return fmt.Errorf("write a record: %q is no id", r.ID)
	}
	if err := kind.Write(filepath.Join(j.dir, r.ID), r); err != nil {
		return fmt.Errorf("write the record of view %s: %w", r.ID, err)
	}
	return nil
}

// Remove removes the record of a view; none is fine.
func (j *Journal) Remove(id string) error {
	if err := os.Remove(filepath.Join(j.dir, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of view %s: %w", id, err)
	}
	return nil
}

// Problem is a record that cannot be used.
type Problem struct {
	ID  string
	Err error
}

// Read returns the records that can be used, oldest first, and what is wrong
// with the others.
func (j *Journal) Read() ([]*Record, []Problem, error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read the journal: %w", err)
	}
	var records []*Record
	var problems []Problem
	for _, e := range entries {
		if !isID(e.Name()) {
			continue
		}
		r, err := j.read(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			problems = append(problems, Problem{e.Name(), err})
			continue
		}
		records = append(records, r)
	}
	slices.SortStableFunc(records, func(a, b *Record) int { return a.Created.Compare(b.Created) })
	return records, problems, nil
}

func (j *Journal) read(id string) (*Record, error) {
	r := &Record{}
	if err := kind.Read(filepath.Join(j.dir, id), r); err != nil {
		return nil, err
	}
	if r.ID != id {
		return nil, fmt.Errorf("%w: it calls itself %q", record.ErrDamaged, r.ID)
	}
	return r, nil
}

// isID accepts what a view's id is made of.
func isID(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) < 64
}
