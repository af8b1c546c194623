package osv

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"ninefold/internal/progress"
	"ninefold/internal/record"
)

var now = time.Unix(1_800_000_000, 0)

// records are what a source may hold: two of Debian's, one withdrawn, one of
// another ecosystem, one that is none, and one file that is no record.
var records = map[string]string{
	"DEBIAN-CVE-2024-5535.json": openssl,
	"a/DSA-2.json":              `{"id":"DSA-2","upstream":["CVE-2024-5535"],"affected":[{"package":{"ecosystem":"Debian:12","name":"curl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"8"}]}]}]}`,
	"a/gone.json":               `{"id":"DSA-3","withdrawn":"2025-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"Debian:12","name":"curl"}}]}`,
	"a/GHSA.json":               `{"id":"GHSA-1","affected":[{"package":{"ecosystem":"npm","name":"x"}}]}`,
	"a/bad.json":                `{"id":`,
	"README":                    "not a record",
}

func archive(t *testing.T, name string, wrap func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	w := wrap(&b)
	a := tar.NewWriter(w)
	for name, text := range records {
		if err := a.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(a, text)
	}
	if err := errors.Join(a.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return file(t, name, b.String())
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

func TestImport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range records {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for name, text := range records {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var first []byte
	for how, path := range map[string]string{
		"directory": dir, "zip": file(t, "all.zip", packed.String()),
		"tar":      archive(t, "all.tar", func(w io.Writer) io.WriteCloser { return plain{w} }),
		"tar.gz":   archive(t, "all.tgz", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"tar.zstd": archive(t, "all.tar.zst", func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }),
	} {
		to := filepath.Join(t.TempDir(), "state", "osv", "debian")
		did, err := Import(t.Context(), path, to, now, progress.None)
		if err != nil || did.Holes != 2 || did.Others != 2 || did.Left != 1 || len(did.Problems) != 1 || !strings.Contains(did.Problems[0], "bad.json") {
			t.Fatalf("%s: %+v %v", how, did, err)
		}
		b, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Errorf("%s gives another database", how)
		}
		d, err := Open(to)
		if err != nil || !d.Imported.Equal(now) {
			t.Fatal(d, err)
		}
		for name, want := range map[string]int{"CVE-2024-5535": 2, "cve-2024-5535": 2, "DSA-1-1": 1, "DSA-2": 1, "DSA": 0, "": 0, "CVE-2024-553": 0} {
			if got, err := d.Named(name); err != nil || len(got) != want {
				t.Errorf("%s: %q names %d holes, want %d: %v", how, name, len(got), want, err)
			}
		}
		of, err := d.Of(map[string]bool{"openssl": true, "bash": true})
		if err != nil || len(of) != 1 || len(of["openssl"]) != 1 {
			t.Errorf("%s: %v %v", how, of, err)
		}
	}
}

// TestAnImportThatFails leaves the database as it was.
func TestAnImportThatFails(t *testing.T) {
	to := filepath.Join(t.TempDir(), "debian")
	good := file(t, "one.json", openssl)
	if _, err := Import(t.Context(), good, to, now, progress.None); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	for how, path := range map[string]string{
		"nothing of Debian's": file(t, "x.json", records["a/GHSA.json"]), "an empty directory": t.TempDir(), "not there": filepath.Join(t.TempDir(), "x"),
		"no archive": file(t, "x", "text"), "half an archive": file(t, "x.tgz", "\x1f\x8b\x08\x00"), "a device": "/dev/zero",
	} {
		if did, err := Import(t.Context(), path, to, now, progress.None); err == nil {
			t.Errorf("%s: %+v", how, did)
		}
	}
	if after, err := os.ReadFile(to); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the database changed: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(to), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDatabasesThatCannotBeRead(t *testing.T) {
	to := filepath.Join(t.TempDir(), "debian")
	if _, err := Open(to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if _, err := Import(t.Context(), file(t, "one.json", openssl), to, now, progress.None); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(b)
	binary.LittleEndian.PutUint32(newer[8:], 9)
	for want, b := range map[error][]byte{record.ErrVersion: newer, record.ErrDamaged: b[:len(b)-1]} {
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(to); !errors.Is(err, want) {
			t.Errorf("%v: %v", want, err)
		}
	}
}

// BenchmarkNamed asks a database as large as Debian's for one CVE, from its file.
func BenchmarkNamed(b *testing.B) {
	g := gathering{entries: map[string]entry{}}
	for i := range 60_000 {
		cve := fmt.Sprintf("CVE-2024-%05d", i)
		h := &Hole{ID: "DEBIAN-" + cve, Names: []string{cve}}
		for _, release := range []string{"11", "12", "13", "14"} {
			h.Affected = append(h.Affected, Affected{Release: release, Source: fmt.Sprint("source-", i%4000), Ranges: [][]Event{{{Introduced: "0"}, {Fixed: "1.2.3-4+deb" + release + "u1"}}}})
		}
		if err := g.add(h); err != nil {
			b.Fatal(err)
		}
	}
	to := filepath.Join(b.TempDir(), "debian")
	if err := g.write(to, now); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d, err := Open(to)
		if err != nil {
			b.Fatal(err)
		}
		if found, err := d.Named("CVE-2024-12345"); err != nil || len(found) != 1 {
			b.Fatal(found, err)
		}
	}
}
