// Package regular reads whole files that somebody else wrote: regular ones, of
// a bounded size.
package regular

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Errors of Read.
var (
	ErrNot      = errors.New("not a regular file")
	ErrTooLarge = errors.New("the file is too large")
)

// Read returns the content of the regular file called name; links are followed.
// A FIFO or a device is ErrNot, and neither is waited for nor read (open(2),
// O_NONBLOCK); what has more than limit bytes is ErrTooLarge, also when it
// grows meanwhile.
func Read(name string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: %w", name, ErrNot)
	}
	size := st.Size()
	if size <= limit {
		// A file of /proc calls itself empty; a byte more tells that this is the end.
		data := make([]byte, 0, size+1)
		if data, err = appendAll(data, io.LimitReader(f, limit+1)); err != nil {
			return nil, err
		}
		if size = int64(len(data)); size <= limit {
			return data, nil
		}
	}
	return nil, fmt.Errorf("read %s: %w: at most %d bytes are read", name, ErrTooLarge, limit)
}

// appendAll is io.ReadAll into the room that data has.
func appendAll(data []byte, r io.Reader) ([]byte, error) {
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
