// Package testrepo makes small Debian archives for tests: packages written in
// Go, in a repository on disk, signed by a key of its own. Only tests import
// it.
package testrepo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// Deb is a package to be made.
type Deb struct {
	Name    string
	Version string // default 1.0
	Arch    string // default all
	// Fields are further control fields: Depends, Essential, Provides...
	Fields map[string]string
	Files  []File
	// Control are further members of the control archive: conffiles, postinst...
	Control map[string]string
	// Damage, when not nil, changes the finished file before the archive vouches
	// for it.
	Damage func([]byte) []byte
}

// File is a member of a package. Directories above it are added.
type File struct {
	Path string // "usr/bin/env"
	Mode int64  // default 0644
	Text string
	// Symlink makes it a symbolic link, Hardlink a hard link to another member.
	Symlink, Hardlink string
	UID, GID          int
}

var epoch = time.Unix(1_700_000_000, 0)

// paragraph is the package's control paragraph.
func (d Deb) paragraph() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Test <test@example.org>\n", d.Name, d.version(), d.arch())
	for _, k := range slices.Sorted(maps.Keys(d.Fields)) {
		fmt.Fprintf(&b, "%s: %s\n", k, d.Fields[k])
	}
	b.WriteString("Description: a package for a test\n Nothing more.\n")
	return b.String()
}

func (d Deb) version() string {
	if d.Version == "" {
		return "1.0"
	}
	return d.Version
}

func (d Deb) arch() string {
	if d.Arch == "" {
		return "all"
	}
	return d.Arch
}

// FileName is the name of the package's file in the pool.
func (d Deb) FileName() string {
	return fmt.Sprintf("pool/main/%s/%s_%s_%s.deb", d.Name, d.Name, d.version(), d.arch())
}

// Build returns the .deb (deb(5)). Equal packages give equal bytes.
func (d Deb) Build(t testing.TB) []byte {
	t.Helper()
	control := []File{{Path: "control", Text: d.paragraph()}}
	for _, name := range slices.Sorted(maps.Keys(d.Control)) {
		mode := int64(0o644)
		if strings.Contains("preinst postinst prerm postrm config", name) {
			mode = 0o755
		}
		control = append(control, File{Path: name, Text: d.Control[name], Mode: mode})
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	member(&b, "debian-binary", []byte("2.0\n"))
	member(&b, "control.tar.gz", archive(t, control))
	member(&b, "data.tar.gz", archive(t, d.Files))
	if d.Damage != nil {
		return d.Damage(b.Bytes())
	}
	return b.Bytes()
}

func member(b *bytes.Buffer, name string, data []byte) {
	fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, epoch.Unix(), 0, 0, "100644", len(data))
	b.Write(data)
	if len(data)%2 == 1 {
		b.WriteByte('\n')
	}
}

func archive(t testing.TB, files []File) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	dirs := map[string]bool{}
	put := func(h *tar.Header, text string) {
		h.ModTime, h.Format = epoch, tar.FormatGNU
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	var parents func(string)
	parents = func(p string) {
		if p != "." {
			parents(path.Dir(p))
		}
		if !dirs[p] {
			dirs[p] = true
			name := "./"
			if p != "." {
				name = "./" + p + "/"
			}
			put(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, "")
		}
	}
	parents(".")
	for _, f := range files {
		parents(path.Dir(f.Path))
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "./" + f.Path, Mode: f.Mode, Uid: f.UID, Gid: f.GID}
		if f.Mode == 0 {
			h.Mode = 0o644
		}
		text := ""
		switch {
		case f.Symlink != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.Symlink, 0o777
		case f.Hardlink != "":
			h.Typeflag, h.Linkname = tar.TypeLink, "./"+f.Hardlink
		default:
			h.Size, text = int64(len(f.Text)), f.Text
		}
		put(h, text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
