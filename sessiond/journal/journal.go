// Package journal keeps the daemon's records of live views, so that a daemon
// that was stopped, upgraded or killed finds them again. It lies in /run: a
// record means nothing after the machine has started anew.
//
// A record is a file of its own: 8 bytes of magic, a version and the length of
// the payload as little-endian uint32, the payload (JSON), and its SHA-256. It
// is written aside, synced and renamed, so a reader sees the old one or the
// new one. A record of a newer version is left untouched.
package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	magic = "9foldvw\n"
	// version is the newest that is read. A record is of the oldest version that
	// has what is in it, so that an older daemon goes on with those that it knows.
	version = 2
	oldest  = 1
	// maxPayload bounds a record: thousands of sessions in one view.
	maxPayload = 4 << 20
	headLen    = len(magic) + 8
)

// The errors a caller tells apart.
var (
	// ErrDamaged says that a record is not what was written.
	ErrDamaged = errors.New("damaged record")
	// ErrVersion says that a newer Ninefold wrote the record.
	ErrVersion = errors.New("the record is of a newer version")
)

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

// version is the oldest that knows what is in r.
func (r *Record) version() uint32 {
	if r.Unit != "" {
		return 2
	}
	return oldest
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
		if strings.HasSuffix(e.Name(), aside) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	return j, nil
}

const aside = ".new"

// Encode returns the bytes of a record.
func Encode(r *Record) ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("record of view %s: %d bytes, at most %d", r.ID, len(payload), maxPayload)
	}
	b := append(make([]byte, 0, headLen+len(payload)+sha256.Size), magic...)
	b = binary.LittleEndian.AppendUint32(b, r.version())
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// Decode reads a record; it is ErrDamaged or ErrVersion for anything that
// Encode did not write.
func Decode(b []byte) (*Record, error) {
	if len(b) < headLen+sha256.Size || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it is none", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[len(magic):]); v > version {
		return nil, fmt.Errorf("%w: %d, and this is %d", ErrVersion, v, version)
	} else if v < oldest {
		return nil, fmt.Errorf("%w: version %d", ErrDamaged, v)
	}
	n := binary.LittleEndian.Uint32(b[len(magic)+4:])
	if n > maxPayload || headLen+int(n)+sha256.Size != len(b) {
		return nil, fmt.Errorf("%w: its length is wrong", ErrDamaged)
	}
	end := headLen + int(n)
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	r := &Record{}
	d := json.NewDecoder(bytes.NewReader(b[headLen:end]))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return r, nil
}

// Write puts a record in place of the one of its ID.
func (j *Journal) Write(r *Record) error {
	if !isID(r.ID) {
		return fmt.Errorf("write a record: %q is no id", r.ID)
	}
	b, err := Encode(r)
	if err != nil {
		return err
	}
	name := filepath.Join(j.dir, r.ID)
	if err := writeSynced(name+aside, b); err != nil {
		_ = os.Remove(name + aside)
		return fmt.Errorf("write the record of view %s: %w", r.ID, err)
	}
	if err := os.Rename(name+aside, name); err != nil {
		return fmt.Errorf("write the record of view %s: %w", r.ID, err)
	}
	return nil
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
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
	f, err := os.OpenFile(filepath.Join(j.dir, id), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	limit := int64(headLen + maxPayload + sha256.Size)
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	r, err := Decode(b)
	if err == nil && r.ID != id {
		err = fmt.Errorf("%w: it calls itself %q", ErrDamaged, r.ID)
	}
	return r, err
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
