package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"ninefold/roots/pkg"
)

// memory is an object store without a disk.
type memory struct {
	mu   sync.Mutex
	have map[pkg.Digest][]byte
}

func (m *memory) Put(ctx context.Context, r io.Reader) (pkg.Digest, int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return pkg.Digest{}, 0, fmt.Errorf("put: %w", err)
	}
	d := pkg.Digest(sha256.Sum256(b))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.have == nil {
		m.have = map[pkg.Digest][]byte{}
	}
	m.have[d] = b
	return d, int64(len(b)), nil
}

const testTime = 1700000000

// member is one file of an archive that a test makes.
type member struct {
	tar.Header
	data string
}

func reg(name, data string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, data}
}

func dir(name string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}

func sym(name, target string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}, ""}
}

func hard(name, target string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target, Mode: 0o644}, ""}
}

func tarBytes(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := m.Header
		h.Size = int64(len(m.data))
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(testTime, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compress packs with the format of a suffix.
func compress(t testing.TB, suffix string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch suffix {
	case "":
		return b
	case ".gz":
		w = gzip.NewWriter(&out)
	case ".xz":
		w, err = xz.NewWriter(&out)
	case ".zst":
		w, err = zstd.NewWriter(&out)
	case ".bz2":
		cmd := exec.Command("bzip2", "-c")
		cmd.Stdin, cmd.Stdout = bytes.NewReader(b), &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("bzip2, which make deps installs: %v", err)
		}
		return out.Bytes()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type arPart struct {
	name string
	data []byte
}

func arBytes(parts ...arPart) []byte {
	b := []byte(arMagic)
	for _, p := range parts {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", p.name, testTime, 0, 0, "100644", len(p.data))
		b = append(b, p.data...)
		if len(p.data)%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

const controlText = "Package: demo\nVersion: 1.0-1\nArchitecture: amd64\nDescription: a demonstration\n of things: like this\n"

func controlTar(t testing.TB, more ...member) []byte {
	return tarBytes(t, append([]member{dir("./"), reg("./control", controlText)}, more...)...)
}

// makeDeb makes a .deb of data files and further control files.
func makeDeb(t testing.TB, data []member, control ...member) []byte {
	t.Helper()
	return arBytes(arPart{"debian-binary", []byte("2.0\n")}, arPart{"control.tar.gz", compress(t, ".gz", controlTar(t, control...))},
		arPart{"data.tar", tarBytes(t, data...)})
}

// convertBytes converts from a plain stream, as a store would get it from a pipe.
func convertBytes(b []byte, o Options) (*pkg.Package, *memory, error) {
	m := &memory{}
	p, err := Convert(context.Background(), bytes.NewReader(b), m, o)
	return p, m, err
}
