package script

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ninefold/roots/debian"
	"ninefold/roots/debian/testrepo"
)

// archives makes small Debian archives, one sound and the others each with one
// fault, and returns their addresses and the keyring by variable.
func archives(t *testing.T) map[string]string {
	t.Helper()
	debs := []testrepo.Deb{
		{Name: "base-files", Fields: map[string]string{"Essential": "yes"}, Files: []testrepo.File{{Path: "etc/base", Text: "base\n"}}},
		{Name: "tool", Files: []testrepo.File{{Path: "usr/share/tool/a", Text: "a\n"}}},
		{Name: "rival", Files: []testrepo.File{{Path: "usr/share/tool/a", Text: "another a\n"}}},
	}
	sound := testrepo.New(t, "trixie", debian.Arch(), debs...)
	vars := map[string]string{"MIRROR": sound.URL(), "KEYRING": sound.Keyring}
	fault := func(name string, spoil func(*testrepo.Repository)) {
		r := testrepo.New(t, "trixie", debian.Arch(), debs...)
		copy(r.Signers, sound.Signers)
		r.Publish(t, debs...)
		spoil(r)
		vars[name] = r.URL()
	}
	edit := func(file string, change func([]byte) []byte) {
		b, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, change(b), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fault("MIRROR_EDITED", func(r *testrepo.Repository) {
		edit(filepath.Join(r.Dir, "dists/trixie/InRelease"), func(b []byte) []byte {
			return bytes.Replace(b, []byte("Origin: Test"), []byte("Origin: Best"), 1)
		})
	})
	fault("MIRROR_FOREIGN", func(r *testrepo.Repository) {
		r.Signers[0] = testrepo.NewKey(t)
		r.Publish(t, debs...)
	})
	fault("MIRROR_FLIPPED", func(r *testrepo.Repository) {
		edit(filepath.Join(r.Dir, debs[1].FileName()), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	})
	// What the archive itself vouches for can be cut off, too.
	fault("MIRROR_TRUNCATED", func(r *testrepo.Repository) {
		cut := debs[1]
		cut.Damage = func(b []byte) []byte { return b[:len(b)-100] }
		r.Publish(t, debs[0], cut)
	})
	return vars
}

// tarball writes a tar archive with one odd member:
//
//	tarball FILE climb|absolute|device|deep|links
func tarball(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tarball FILE KIND")
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	put := func(h tar.Header) {
		h.Mode, h.Format = 0o755, tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			ts.Fatalf("%v", err)
		}
	}
	put(tar.Header{Typeflag: tar.TypeDir, Name: "./etc/"})
	switch args[1] {
	case "climb":
		put(tar.Header{Typeflag: tar.TypeReg, Name: "./etc/../../../tmp/planted"})
	case "absolute":
		put(tar.Header{Typeflag: tar.TypeReg, Name: "/etc/planted"})
	case "device":
		put(tar.Header{Typeflag: tar.TypeBlock, Name: "./etc/disk", Devmajor: 8})
	case "deep":
		put(tar.Header{Typeflag: tar.TypeReg, Name: "./" + strings.Repeat("d/", 100_000) + "file"})
	case "links":
		// Sound: an absolute link is one inside the image. Not sound: a file by
		// way of it.
		put(tar.Header{Typeflag: tar.TypeSymlink, Name: "./etc/out", Linkname: "/tmp"})
		put(tar.Header{Typeflag: tar.TypeReg, Name: "./etc/out/planted"})
	default:
		ts.Fatalf("tarball: unknown kind %q", args[1])
	}
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o644))
}
