package erofs

import (
	"bytes"
	"crypto/sha256"
	"io"
	"io/fs"
	"strings"
	"testing"

	reader "github.com/erofs/go-erofs"
)

// texts are contents by node.
type texts map[int]string

func (t texts) Sum(i int) [32]byte { return sha256.Sum256([]byte(t[i])) }

func (t texts) Open(i int) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(t[i])), nil
}

func TestWriteHoldsContents(t *testing.T) {
	big, small := strings.Repeat("0123456789", 1000), "text"
	nodes := []Node{
		{Link: None, Mode: Dir | 0o755},
		{Name: "a", Link: None, Mode: Regular | 0o644, Size: int64(len(big))},
		{Name: "b", Link: None, Mode: Regular | 0o600, Size: int64(len(small))},
		{Name: "c", Link: None, Mode: Regular | 0o755, Size: int64(len(big))},
		{Name: "d", Link: None, Mode: Regular | 0o644},
		{Name: "e", Link: 2},
	}
	in := texts{1: big, 2: small, 3: big}
	var out bytes.Buffer
	if err := Write(&out, nodes, in); err != nil {
		t.Fatal(err)
	}
	// One block of metadata, one of the root, three of big and one of small.
	if n := out.Len(); n > 6*blockSize || n%blockSize != 0 {
		t.Errorf("%d bytes: equal files share their blocks", n)
	}
	img, err := reader.Open(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": big, "b": small, "c": big, "d": "", "e": small} {
		if got, err := fs.ReadFile(img, name); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	in[2] = "te"
	if err := Write(io.Discard, nodes, in); err == nil {
		t.Error("a content that is too short was taken")
	}
}
