// Package testregistry runs docker-registry, the registry that most others
// descend from, for tests and measurements. Only these import it.
package testregistry

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// Program is what has to be installed.
const Program = "docker-registry"

// Options say where a registry listens.
type Options struct {
	// Address is host:port; "" is a free port of the loopback interface.
	Address string
	// Certificate and Key are files in PEM; without them it speaks no TLS.
	Certificate, Key string
	// Before stands before the program on the command line: nsenter, say.
	Before []string
}

// Server is a running registry. Close must be called.
type Server struct {
	// Host is where it listens, host:port.
	Host string
	// Dir is where it keeps blobs and manifests.
	Dir string
	cmd *exec.Cmd
}

const config = `version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
http: {addr: %q, secret: none%s}
`

var listening = regexp.MustCompile(`listening on ([0-9a-z.:\[\]]+:[0-9]+)`)

// Start starts a registry that keeps what it has below dir.
func Start(ctx context.Context, dir string, o Options) (*Server, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	tls := ""
	if o.Certificate != "" {
		tls = fmt.Sprintf(", tls: {certificate: %q, key: %q}", o.Certificate, o.Key)
	}
	s := &Server{Dir: filepath.Join(dir, "data")}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, s.Dir, o.Address, tls), 0o600); err != nil {
		return nil, err
	}
	argv := append(o.Before[:len(o.Before):len(o.Before)], Program, "serve", file)
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("it listens nowhere for a minute"))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.cmd.Process.Kill() })
	defer stop()
	var said bytes.Buffer
	lines := bufio.NewReader(io.TeeReader(stderr, &said))
	for s.Host == "" {
		line, err := lines.ReadString('\n')
		if m := listening.FindStringSubmatch(line); m != nil {
			s.Host = m[1]
		} else if err != nil {
			s.Close()
			return nil, fmt.Errorf("%s: %w: %s", Program, errors.Join(err, context.Cause(ctx)), said.Bytes())
		}
	}
	go io.Copy(io.Discard, stderr)
	return s, nil
}

// Blobs are the files in which the registry keeps blobs, manifests among them.
func (s *Server) Blobs() ([]string, error) {
	return filepath.Glob(filepath.Join(s.Dir, "docker/registry/v2/blobs/sha256/*/*/data"))
}

// Close ends the registry.
func (s *Server) Close() error {
	err := s.cmd.Process.Kill()
	s.cmd.Wait()
	return err
}
