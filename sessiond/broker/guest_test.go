package broker

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/broker/wire"
)

// What its caller has open a guest gets as pipes, and as nothing else.
func TestGuestsHaveNothingButPipes(t *testing.T) {
	dir := t.TempDir()
	open := func(name string, flags int) int {
		t.Helper()
		fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range append(pipe[:], pair[:]...) {
		defer unix.Close(fd)
	}
	memory, err := unix.MemfdCreate("pipe:[1]", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(memory)
	named, file := filepath.Join(dir, "pipe:[1]"), filepath.Join(dir, "file")
	if err := unix.Mkfifo(named, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fd int
		ok bool
	}{
		"the end to read": {pipe[0], true}, "the end to write": {pipe[1], true},
		"a named one": {open(named, unix.O_RDWR), false}, "a file": {open(file, unix.O_RDWR), false}, "a directory": {open(dir, unix.O_DIRECTORY), false},
		"a name": {open(file, unix.O_PATH), false}, "a socket": {pair[0], false}, "memory": {memory, false}, "a device": {open(os.DevNull, unix.O_RDWR), false},
	} {
		r := &wire.Request{Guest: "guest", Streams: [3]wire.Stream{wire.OwnTerminal, wire.Passed, wire.Passed}}
		refused := pipes(r, []wire.FD{wire.FD(pipe[1]), wire.FD(c.fd)})
		if (refused == nil) != c.ok {
			t.Errorf("%s: got %+v", name, refused)
		}
	}
}
