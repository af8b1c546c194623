// Package record is the form of small records that outlive a version: 8 bytes
// of magic, a version and the length of the payload as little-endian uint32,
// the payload (mostly JSON), and the SHA-256 of all of it. A record is written aside,
// synced and renamed, so that a reader sees the old one or the new one.
package record

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ninefold/internal/regular"
)

// The errors a caller tells apart.
var (
	// ErrDamaged says that a record is not what was written.
	ErrDamaged = errors.New("damaged record")
	// ErrVersion says that a newer Ninefold wrote the record.
	ErrVersion = errors.New("the record is of a newer version")
)

// Kind is one kind of record.
type Kind struct {
	// Magic is 8 bytes.
	Magic string
	// Version is the newest that is read, and Oldest the oldest; 0 is Version alone.
	Version, Oldest uint32
	// Max bounds the payload in bytes.
	Max int
}

// Versioned is what can say the oldest version that has what is in it, so that
// an older Ninefold goes on with the records that it knows. Anything else is
// written in the newest.
type Versioned interface{ RecordVersion() uint32 }

func (k Kind) head() int { return len(k.Magic) + 8 }

// Encode returns the bytes of a record that holds v.
func (k Kind) Encode(v any) ([]byte, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	version := k.Version
	if o, ok := v.(Versioned); ok {
		version = o.RecordVersion()
	}
	return k.seal(version, payload)
}

// Seal returns the bytes of a record whose payload is another than JSON.
func (k Kind) Seal(payload []byte) ([]byte, error) { return k.seal(k.Version, payload) }

func (k Kind) seal(version uint32, payload []byte) ([]byte, error) {
	if len(payload) > k.Max {
		return nil, fmt.Errorf("a record of %d bytes; at most %d", len(payload), k.Max)
	}
	b := append(make([]byte, 0, k.head()+len(payload)+sha256.Size), k.Magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// Decode reads a record into v; it is ErrDamaged or ErrVersion for anything
// that Encode did not write.
func (k Kind) Decode(b []byte, v any) error {
	payload, err := k.Unseal(b)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// Unseal returns the payload of a record, which shares its bytes. Errors are
// those of Decode.
func (k Kind) Unseal(b []byte) ([]byte, error) {
	head := k.head()
	if len(b) < head+sha256.Size || string(b[:len(k.Magic)]) != k.Magic {
		return nil, fmt.Errorf("%w: it is none", ErrDamaged)
	}
	if version := binary.LittleEndian.Uint32(b[len(k.Magic):]); version > k.Version {
		return nil, fmt.Errorf("%w: %d, and this is %d", ErrVersion, version, k.Version)
	} else if version < cmp.Or(k.Oldest, k.Version) {
		return nil, fmt.Errorf("%w: version %d", ErrDamaged, version)
	}
	n := uint64(binary.LittleEndian.Uint32(b[len(k.Magic)+4:]))
	if n > uint64(k.Max) || uint64(head)+n+sha256.Size != uint64(len(b)) {
		return nil, fmt.Errorf("%w: its length is wrong", ErrDamaged)
	}
	end := head + int(n)
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	return b[head:end], nil
}

// Read reads the record in a file into v: fs.ErrNotExist where there is none.
func (k Kind) Read(name string, v any) error {
	b, err := k.Bytes(name)
	if err != nil {
		return err
	}
	if err := k.Decode(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Bytes returns what is in the file of a record, which Unseal reads:
// fs.ErrNotExist where there is none.
func (k Kind) Bytes(name string) ([]byte, error) {
	b, err := regular.Read(name, int64(k.head()+k.Max+sha256.Size))
	if errors.Is(err, regular.ErrNot) || errors.Is(err, regular.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return b, err
}

// Aside ends the name under which a record is written; a killed writer leaves it.
const Aside = ".new"

// Write puts a record that holds v in the place of the file, for root alone.
// It is on disk when Write returns.
func (k Kind) Write(name string, v any) error {
	if err := k.replace(name, v, true); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// WriteForBoot is Write for what is of no use after the machine's next start. A
// machine that fails may leave what Read calls damaged.
func (k Kind) WriteForBoot(name string, v any) error { return k.replace(name, v, false) }

func (k Kind) replace(name string, v any, sync bool) error {
	b, err := k.Encode(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name+Aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if sync && err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(name+Aside, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name+Aside))
	}
	return nil
}

// SyncDir makes what was made, renamed or removed in a directory last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
