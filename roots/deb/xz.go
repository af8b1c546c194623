package deb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// xzProgram is the absolute path of the xz program, which decodes faster than
// Go does and in a process of its own, or "".
var xzProgram = sync.OnceValue(func() string {
	// Fixed places: PATH of a root process is not to be trusted.
	for _, p := range []string{"/usr/bin/xz", "/bin/xz"} {
		if i, err := os.Stat(p); err == nil && i.Mode().IsRegular() && i.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
})

// xzPipe is the output of a running xz.
type xzPipe struct {
	out    *os.File
	cmd    *exec.Cmd
	stderr bytes.Buffer
	eof    bool
}

// startXZ decodes r. The process gets no environment, a memory limit and, where
// this one is root, the ids of nobody: it reads what came from the network.
func startXZ(ctx context.Context, prog string, r io.Reader) (*xzPipe, error) {
	p, err := runXZ(ctx, prog, r, os.Geteuid() == 0)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		// A user namespace without nobody.
		p, err = runXZ(ctx, prog, r, false)
	}
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", prog, err)
	}
	return p, nil
}

func runXZ(ctx context.Context, prog string, r io.Reader, drop bool) (*xzPipe, error) {
	p := &xzPipe{}
	p.cmd = exec.CommandContext(ctx, prog, "--decompress", "--stdout", "--single-stream", "--threads=1",
		fmt.Sprintf("--memlimit-decompress=%d", maxWindow), "--format=xz", "--quiet")
	p.cmd.Env = []string{"LC_ALL=C"}
	p.cmd.Dir = "/"
	p.cmd.Stdin = r
	p.cmd.Stderr = &cappedBuffer{b: &p.stderr}
	// Its own process group: Ctrl-C comes through ctx.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if drop {
		const nobody = 65534
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// Fewer switches between the two processes; the default works as well.
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	p.cmd.Stdout, p.out = w, out
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	return p, nil
}

func (p *xzPipe) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if err == io.EOF {
		p.eof = true
	}
	return n, err
}

// Close ends the process and returns its error if its output was read to the end.
func (p *xzPipe) Close() error {
	p.out.Close()
	if !p.eof {
		_ = p.cmd.Process.Kill()
	}
	err := p.cmd.Wait()
	if !p.eof {
		return nil
	}
	if msg := strings.TrimSpace(p.stderr.String()); err != nil && msg != "" {
		return malformed("%s", msg)
	}
	return err
}

// cappedBuffer keeps the first bytes of what is written to it.
type cappedBuffer struct{ b *bytes.Buffer }

func (c *cappedBuffer) Write(p []byte) (int, error) {
	const most = 1024
	if room := most - c.b.Len(); room > 0 {
		c.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// xzHeader refuses a first block whose dictionary is above maxWindow before the
// decoder allocates it (xz file format 3.1, LZMA2 filter properties).
type xzHeader struct {
	r    io.Reader
	head []byte
	at   int
	err  error
}

func (x *xzHeader) Read(p []byte) (int, error) {
	if x.head == nil && x.err == nil {
		x.err = x.check()
	}
	if x.at < len(x.head) {
		n := copy(p, x.head[x.at:])
		x.at += n
		return n, nil
	}
	if x.err != nil {
		return 0, x.err
	}
	return x.r.Read(p)
}

func (x *xzHeader) check() error {
	const streamHeader = 12
	head := make([]byte, streamHeader+1024)
	n, err := io.ReadFull(x.r, head)
	x.head = head[:n]
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return err
	}
	if n <= streamHeader || head[streamHeader] == 0 { // no block
		return nil
	}
	block := head[streamHeader:min(n, streamHeader+4*(int(head[streamHeader])+1))]
	// The LZMA2 filter is 0x21 with one byte of properties, of which 36 stands
	// for 1 GiB; a filter before it may hold the same bytes, which then only
	// refuses a file that nobody wrote.
	for i := 2; i+2 < len(block); i++ {
		if block[i] == 0x21 && block[i+1] == 1 && lzma2Dict(block[i+2]) > maxWindow {
			x.head = nil
			return malformed("the xz stream wants a dictionary of %d bytes, the limit is %d", lzma2Dict(block[i+2]), maxWindow)
		}
	}
	return nil
}

func lzma2Dict(bits byte) uint64 {
	if bits > 39 {
		return 1 << 32
	}
	return uint64(2|bits&1) << (bits/2 + 11)
}
