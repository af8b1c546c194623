package foreign

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/tests/needs"
)

// packErofs makes an erofs file of what fill writes below a directory, as others do.
func packErofs(t *testing.T, fill string, options ...string) string {
	t.Helper()
	needs.Programs(t, unpacker.program)
	return packedBy(t, fill, func(dir, file string) []string {
		return append(append([]string{"mkfs.erofs", "--quiet"}, options...), file, dir)
	})
}

const oddRoot = `mkdir -p usr/bin var/mail many; seq 50000 > usr/bin/a; ln usr/bin/a usr/bin/b; ln -s /etc/passwd usr/bin/l; mkfifo usr/fifo; : > usr/empty
chown 12:34 usr/bin/a; chmod 4755 usr/bin/a; chmod 2775 var/mail; printf x > usr/bin/ping; setcap cap_net_raw+ep usr/bin/ping; chmod 000 usr/bin/ping
seq 1234 > many/1; seq 99999 > many/2; chmod 500 many; touch -d @86400 usr/bin/ping`

// TestErofsWithCompression: what a compressed file holds is what the same without compression does.
func TestErofsWithCompression(t *testing.T) {
	help, _ := exec.Command("mkfs.erofs", "--help").CombinedOutput()
	s := open(t)
	entries := func(file, name string) []pkg.Entry {
		t.Helper()
		r, err := Root(t.Context(), s, file, accepting(s, Options{Reference: name, InitDir: initDir}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tree, err := driver.Tree(t.Context(), s, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		return tree.Entries
	}
	want := entries(packErofs(t, oddRoot, "-T1000"), "plain")
	kinds := map[string][]string{
		"lz4":       {"-zlz4"},
		"tails":     {"-zlz4hc", "-C65536", "-Eztailpacking"},
		"fragments": {"-zlz4hc", "-Efragments,dedupe"},
	}
	_, there, _ := strings.Cut(string(help), "Available compressors are:")
	for _, name := range []string{"lzma", "deflate", "zstd"} {
		if strings.Contains(there, name) {
			kinds[name] = []string{"-z" + name}
		}
	}
	for name, options := range kinds {
		got := entries(packErofs(t, oddRoot, append(options, "-T1000")...), name)
		if d := image.DiffEntries(want, got); len(d) > 0 || len(got) != len(want) {
			t.Errorf("%s: %v", name, d)
		}
	}
}

func TestErofsWithCompressionThatIsDamaged(t *testing.T) {
	file := packErofs(t, "seq 300000 > a; seq 200000 > b", "-zlz4hc")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte{}, whole...)
	for i := len(flipped) / 2; i < len(flipped)/2+5000; i += 7 {
		flipped[i] ^= 0x55
	}
	s := open(t)
	for name, b := range map[string][]byte{"cut": whole[:len(whole)/2], "flipped": flipped, "head": whole[:1200]} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Root(t.Context(), s, file, accepting(s, Options{Reference: name, InitDir: initDir})); !errors.Is(err, ErrUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	left(t, s.Dir())
	device := packErofs(t, "seq 9999 > a; mknod null c 1 3", "-zlz4hc")
	if _, err := Root(t.Context(), s, device, accepting(s, Options{Reference: "device", InitDir: initDir})); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "/null is a device") {
		t.Errorf("a device: %v", err)
	}
}

// TestErofsBomb: a small file of much is stopped before it fills the disk.
func TestErofsBomb(t *testing.T) {
	said, full, after := onSmallDisk(t, "64m", "import DIR "+packErofs(t, "head -c 300M /dev/zero > zeros", "-zlz4hc"))
	if !strings.Contains(said, "more than") {
		t.Errorf("said %s", said)
	}
	left(t, full)
	whole(t, after)
}
