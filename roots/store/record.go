package store

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// recordVersion is the version of the envelope that seal writes.
const recordVersion = 1

// maxRecord bounds a record that is read whole.
const maxRecord = 1 << 30

// seal wraps a payload in one line that says what it is, its version, length
// and sha256.
func seal(kind string, payload []byte) []byte {
	return fmt.Appendf(nil, "ninefold-%s %d %d %x\n%s", kind, recordVersion, len(payload), sha256.Sum256(payload), payload)
}

// unseal is the strict inverse of seal.
func unseal(kind string, b []byte) ([]byte, error) {
	line, payload, ok := bytes.Cut(b, []byte("\n"))
	var have string
	var version, n int
	var sum []byte
	if _, err := fmt.Sscanf(string(line), "ninefold-%s %d %d %x", &have, &version, &n, &sum); !ok || err != nil || have != kind {
		return nil, fmt.Errorf("%w: no %s record", ErrDamaged, kind)
	}
	if version > recordVersion {
		return nil, fmt.Errorf("%s record of version %d: %w", kind, version, ErrVersion)
	}
	if !bytes.Equal(seal(kind, payload), b) {
		return nil, fmt.Errorf("%w: the %s record does not match its checksum", ErrDamaged, kind)
	}
	return payload, nil
}

// readFile reads a record, which is a regular file of bounded size.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRecord {
		return nil, fmt.Errorf("%s: %w: not a regular file of reasonable size", path, ErrDamaged)
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Write replaces the file name, relative to the store, with data, atomically
// and durably. It is for what the drivers compose.
func (s *Store) Write(name string, data []byte) error {
	return s.explain(s.write(name, data, true))
}

// write makes a file aside and renames it into place. Only a durable one is
// synced; the others are checked when they are read.
func (s *Store) write(name string, data []byte, durable bool) error {
	// A sweep may take the file between its creation and its lock: then try again.
	for range 100 {
		f, err := s.tempFile()
		if err != nil {
			return err
		}
		err = func() error {
			defer f.Close()
			if _, err := f.Write(data); err != nil {
				return err
			}
			if durable {
				if err := f.Sync(); err != nil {
					return err
				}
			}
			return os.Rename(f.Name(), s.path(name))
		}()
		if errors.Is(err, os.ErrNotExist) {
			if _, gone := os.Stat(filepath.Dir(s.path(name))); gone == nil {
				continue
			}
		}
		if err != nil {
			os.Remove(f.Name())
			return err
		}
		if durable {
			return syncDir(filepath.Dir(s.path(name)))
		}
		return nil
	}
	return fmt.Errorf("%s: %w: its temporary file is taken away each time", name, ErrBusy)
}

// replaceFile writes data to temp, syncs it and renames it to path.
func replaceFile(temp, path string, data []byte) error {
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func randomName() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
