package namespaces_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/namespaces"
)

func TestFileSystemsAreKnown(t *testing.T) {
	b := make([]byte, 70000)
	if _, err := namespaces.FileSystem(bytes.NewReader(b)); !errors.Is(err, namespaces.ErrFileSystem) {
		t.Errorf("nothing: %v", err)
	}
	copy(b[32769:], "CD001")
	if got, err := namespaces.FileSystem(bytes.NewReader(b)); err != nil || got != "iso9660" {
		t.Errorf("%s %v", got, err)
	}
	if _, err := namespaces.FileSystem(bytes.NewReader(b[:10])); !errors.Is(err, namespaces.ErrFileSystem) {
		t.Errorf("ten bytes: %v", err)
	}
}

func TestLiveMounts(t *testing.T) {
	l, see, home := liveWorld(t)
	before := mountinfo(t)
	id, err := l.MountMemory(home+"/dir", 1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := see("cd " + home + "/dir; stat -c '%u %a' .; stat -f -c %T .; dd if=/dev/zero of=big bs=1M count=2 2>&1 | grep -o 'No space'; grep ' '$PWD' ' /proc/self/mountinfo | grep -o 'nosuid,nodev'"); got != "12345 700\ntmpfs\nNo space\nnosuid,nodev" {
		t.Errorf("memory: %s", got)
	}
	if err := l.Unbind(home+"/dir", id); err != nil {
		t.Error(err)
	}
	if _, err := l.MountMemory("/etc/x", 0, false); !errors.Is(err, namespaces.ErrTarget) {
		t.Errorf("elsewhere: %v", err)
	}

	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 4<<20); err != nil {
		t.Fatal(err)
	}
	l.From, err = os.Open("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	defer l.From.Close()
	for name, want := range map[string]string{image: "no file system", "/dev/null": "no file", "/nonexistent": "no such file"} {
		if _, err := l.MountImage(name, "", "/n/image", false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.MountImage(image, "proc", "/n/image", false); !errors.Is(err, namespaces.ErrFileSystem) {
		t.Errorf("a file system without a file: %v", err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for _, readOnly := range []bool{false, true} {
		if id, err = l.MountImage(image, "", "/n/image", readOnly); err != nil {
			t.Fatal(err)
		}
		want := "lost+found\next2/ext3\n" + map[bool]string{false: "rw", true: "ro"}[readOnly] + ",nosuid,nodev"
		if got := see("cd /n/image; ls | grep lost; stat -f -c %T .; grep ' /n/image ' /proc/self/mountinfo | cut -d' ' -f6 | cut -d, -f1-3"); got != want {
			t.Errorf("read-only %v: %s", readOnly, got)
		}
		if err := l.Unbind("/n/image", id); err != nil {
			t.Error(err)
		}
	}
	if after := mountinfo(t); after != before {
		t.Errorf("the host had\n%s\nand has\n%s", before, after)
	}
}
