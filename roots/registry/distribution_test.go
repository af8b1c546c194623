package registry

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ninefold/roots/image"
)

// TestDistribution pushes to and pulls from the registry that most others
// descend from.
func TestDistribution(t *testing.T) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv("NINEFOLD_MUST_RUN") == "1" {
			t.Fatal(err)
		}
		t.Skip("needs docker-registry")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: " + dir + "/data\nhttp:\n  addr: " + host + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r, err := http.Get("http://" + host + "/v2/"); err == nil {
			r.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("the registry does not answer")
		}
	}
	from, to := open(t), open(t)
	id := addImage(t, from, image.ID{}, addPackage(t, from, "one", "usr/bin/one", "first"), addPackage(t, from, "two", "usr/bin/two", strings.Repeat("x", 1<<20)))
	ref := host + "/steve/base:1"
	for range 2 {
		if err := Push(t.Context(), from, id, ref, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Pull(t.Context(), to, ref, Options{}); err != nil || got != id {
		t.Fatalf("pulled %s: %v", got.Short(), err)
	}
}
