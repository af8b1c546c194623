package foreign

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/roots/driver"
	"ninefold/roots/pkg"
	"ninefold/tests/needs"
)

// initDir is where make build puts the first process of sessions.
func initDir() (string, error) {
	dir, err := filepath.Abs("../../bin")
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "ninefold-init"))
	}
	return dir, err
}

// squashfs makes a file of what fill writes below a directory, as others do.
func squashfs(t *testing.T, fill string) string {
	t.Helper()
	needs.Programs(t, unsquasher.program)
	return packedBy(t, fill, func(dir, file string) []string {
		return []string{"mksquashfs", dir, file, "-quiet", "-no-progress", "-noappend"}
	})
}

// packedBy has a program make a file, for root alone, of what fill writes below a
// directory.
func packedBy(t *testing.T, fill string, by func(dir, file string) []string) string {
	t.Helper()
	needs.Root(t)
	dir, file := filepath.Join(t.TempDir(), "root"), filepath.Join(t.TempDir(), "file")
	pack := by(dir, file)
	needs.Programs(t, pack[0], "setcap")
	for _, argv := range [][]string{{"mkdir", dir}, {"sh", "-ec", "cd " + dir + "\n" + fill}, pack, {"chmod", "600", file}} {
		if b, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, b)
		}
	}
	return file
}

func TestSquashfsOfOthers(t *testing.T) {
	file := squashfs(t, `mkdir -p usr/bin var/mail; printf hello > usr/bin/a; ln usr/bin/a usr/bin/b; ln -s /etc/passwd usr/bin/l
chown 12:34 usr/bin/a; chmod 4755 usr/bin/a; chmod 2775 var/mail; printf x > usr/bin/ping; setcap cap_net_raw+ep usr/bin/ping
mknod null c 1 3; mkdir dev; mv null dev; touch -d @86400 usr/bin/ping`)
	s := open(t)
	r, err := Root(t.Context(), s, file, accepting(s, Options{Reference: "x", InitDir: initDir}))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := driver.Tree(t.Context(), s, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]pkg.Entry{}
	for _, e := range tree.Entries {
		got[e.Path] = e
	}
	if a := got["usr/bin/a"]; a.Mode != 0o4755 || a.UID != 12 || a.GID != 34 || a.Size != 5 {
		t.Errorf("/usr/bin/a is %+v", a)
	}
	if b := got["usr/bin/b"]; b.Link != "usr/bin/a" {
		t.Errorf("/usr/bin/b is %+v", b)
	}
	if l := got["usr/bin/l"]; l.Target != "/etc/passwd" {
		t.Errorf("/usr/bin/l is %+v", l)
	}
	if m := got["var/mail"]; m.Mode != 0o2775 {
		t.Errorf("/var/mail is %+v", m)
	}
	if p := got["usr/bin/ping"]; len(p.Xattrs) != 1 || p.Xattrs[0].Name != "security.capability" || p.MTime != 86400 {
		t.Errorf("/usr/bin/ping is %+v", p)
	}
	if r.Notes.Devices != 1 {
		t.Errorf("%+v", r.Notes)
	}
}

// TestSquashfsThatIsDamaged: nothing of it is taken, and nothing is left.
func TestSquashfsThatIsDamaged(t *testing.T) {
	file := squashfs(t, "for i in 1 2 3 4 5 6 7 8; do head -c 300000 /dev/urandom > $i; done")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte{}, whole...)
	// Its header says where what it says about the files begins.
	inodes := binary.LittleEndian.Uint64(whole[64:])
	for i := inodes + 2; i < inodes+20; i++ {
		flipped[i] ^= 0x55
	}
	s := open(t)
	for name, b := range map[string][]byte{"cut": whole[:len(whole)/2], "flipped": flipped, "head": whole[:96], "magic": []byte("hsqs0000")} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Root(t.Context(), s, file, accepting(s, Options{Reference: name, InitDir: initDir})); !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	left(t, s.Dir())
}

// TestSquashfsBomb: a small file of much is stopped before it fills the disk.
func TestSquashfsBomb(t *testing.T) {
	said, full, after := onSmallDisk(t, "64m", "import DIR "+squashfs(t, "truncate -s 300M zeros"))
	if !strings.Contains(said, "more than") {
		t.Errorf("said %s", said)
	}
	left(t, full)
	whole(t, after)
}
