package compat

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"ninefold/roots/pkg"
)

func TestLevelIsWhatTheLinkerWasTold(t *testing.T) {
	dir := t.TempDir()
	objects := files{t.TempDir()}
	for name, want := range map[string]struct {
		args  []string
		level int
	}{
		"none": {nil, 0},
		"v2":   {[]string{"-Wl,-z,x86-64-v2"}, 2},
		"v3":   {[]string{"-Wl,-z,x86-64-v3"}, 3},
	} {
		text := compile(t, dir, name+".so", "int f(void){return 1;}", "", append(want.args, "-shared")...)
		p := &pkg.Package{Name: "p", Version: "1", Arch: "all", Entries: []pkg.Entry{
			file(objects, t, "usr/bin/script", 0o755, []byte("#!/bin/sh\n                                                                   ")),
			file(objects, t, "usr/lib/"+name+".so", 0o644, text)}}
		level, where, err := Level(p, objects)
		if err != nil || level != want.level || level > 0 && where != "usr/lib/"+name+".so" {
			t.Errorf("%s: %d by %q, %v", name, level, where, err)
		}
	}
}

func FuzzLevel(f *testing.F) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(self[:4096])
	f.Add([]byte("\x04\x00\x00\x00\x10\x00\x00\x00\x05\x00\x00\x00GNU\x00\x02\x80\x00\xc0\x04\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if n := needed(text); n < 0 || n > 4 {
			t.Fatalf("level %d", n)
		}
		d := pkg.Digest(sha256.Sum256(text))
		if err := os.WriteFile(filepath.Join(dir, d.String()), text, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(filepath.Join(dir, d.String()))
		p := &pkg.Package{Entries: []pkg.Entry{{Path: "x.so", Kind: pkg.File, Size: int64(len(text)), Digest: d}}}
		if n, _, err := Level(p, files{dir}); err != nil || n > 4 {
			t.Fatalf("level %d, %v", n, err)
		}
	})
}
