package profile

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"ninefold/internal/tomlfile"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/origin"
)

// readOwned reads a small file of its own, and says whose it is.
func readOwned(name string) ([]byte, plan.Origin, error) {
	fd, st, who, err := origin.Open(name)
	var at *os.PathError
	switch {
	case errors.As(err, &at):
		return nil, 0, err
	case errors.Is(err, unix.ELOOP):
		return nil, 0, fmt.Errorf("%s is a symbolic link; a profile has to be a file of its own: %w", name, ErrInvalid)
	case err != nil:
		return nil, 0, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, 0, fmt.Errorf("%s is not a regular file: %w", name, ErrInvalid)
	}
	data, err := io.ReadAll(io.LimitReader(f, tomlfile.MaxSize+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > tomlfile.MaxSize {
		return nil, 0, fmt.Errorf("%s: %w: at most %d bytes are read", name, tomlfile.ErrTooLarge, tomlfile.MaxSize)
	}
	return data, who, nil
}
