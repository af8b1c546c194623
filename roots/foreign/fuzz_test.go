package foreign

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/roots/erofs"
)

type text string

func (s text) Sum(int) (sum [32]byte) { return sum }

func (s text) Open(int) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(s))), nil
}

// FuzzErofs reads what is no erofs file, or a strange one: it ends in a tar that
// can be read, or in an error.
func FuzzErofs(f *testing.F) {
	var b bytes.Buffer
	err := erofs.Write(&b, []erofs.Node{
		{Link: erofs.None, Mode: erofs.Dir | 0o755},
		{Name: "a", Link: erofs.None, Mode: erofs.Regular | 0o4755, Size: 5, Xattrs: []erofs.Xattr{{Name: "user.x", Value: "y"}}},
		{Name: "b", Link: 1},
		{Name: "d", Link: erofs.None, Mode: erofs.Dir | 0o755},
		{Name: "l", Link: erofs.None, Mode: erofs.Symlink | 0o777, Target: "a"},
	}, text("hello"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := packed(file); err == nil {
			_, _ = measure(t.Context(), unmasked{file}, 1<<22)
		}
		r := tarOfErofs(t.Context(), file, inside)
		defer r.Close()
		for in := tar.NewReader(io.LimitReader(r, 1<<22)); ; {
			if _, err := in.Next(); err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, in); err != nil {
				if errors.Is(err, tar.ErrHeader) {
					t.Error(err)
				}
				return
			}
		}
	})
}
