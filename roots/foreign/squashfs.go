package foreign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"ninefold/namespaces"
)

// unsquasher is the program that makes a tar of a squashfs file.
var unsquasher = tool{"sqfs2tar", "squashfs-tools-ng"}

// tar gives what the file holds as a tar. Closing that before its end ends the
// session.
func (c *jailed) tar(ctx context.Context) (io.ReadCloser, error) {
	said, err := os.CreateTemp(c.dir, "said")
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		said.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &squashTar{out: r, cancel: cancel, said: said, done: make(chan error, 1)}
	go func() {
		// Without -s it leaves out what no tar holds, which is sockets. -r keeps the root's own owner.
		status, err := namespaces.Run(ctx, c.plan(maxSaid), namespaces.Command{Argv: []string{unsquasher.program, "-r", ".", "/file"}, Stdout: w, Stderr: said})
		if err == nil && status.Code != 0 {
			err = fmt.Errorf("%w: squashfs: %s ended with status %d%s", ErrUnusable, unsquasher.program, status.Code, complaint(said))
		}
		t.done <- err
		w.Close()
	}()
	return t, nil
}

// squashTar is the tar that the program writes: its end is one only if the
// program ended well.
type squashTar struct {
	out    *os.File
	cancel context.CancelFunc
	said   *os.File
	done   chan error
	ended  bool
}

func (t *squashTar) Read(b []byte) (int, error) {
	n, err := t.out.Read(b)
	if errors.Is(err, io.EOF) && !t.ended {
		t.ended = true
		if failed := <-t.done; failed != nil {
			return n, failed
		}
	}
	return n, err
}

func (t *squashTar) Close() error {
	t.cancel()
	err := t.out.Close()
	if !t.ended {
		t.ended = true
		<-t.done
	}
	return errors.Join(err, t.said.Close())
}

// complaint is the beginning of what the program said, on one line.
func complaint(f *os.File) string {
	b := make([]byte, 500)
	n, _ := f.ReadAt(b, 0)
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(b[:n]), "?")), " ")
	if text == "" {
		return ""
	}
	return ": " + text
}
