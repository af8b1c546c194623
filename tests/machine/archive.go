package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// debianHosts are those that a machine's own apt names.
var debianHosts = []string{"deb.debian.org", "security.debian.org"}

// Archive lets the machine, which has no network, fetch from Debian's archive as if it
// had one: what listens at port 80 of its loopback, which has the archive's names there,
// asks the archive over this host's network. It ends with ctx, or when the returned function is called.
func (m *Machine) Archive(ctx context.Context) (end func(), err error) {
	if m.Virtual() {
		return nil, errors.New("the machine is this one, and has the network that it has")
	}
	l, err := listenIn(m.leader, "127.0.0.1:80")
	if err != nil {
		return nil, fmt.Errorf("listen in the machine: %w", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(debianHosts, r.Host) {
			http.NotFound(w, r)
			return
		}
		to := &url.URL{Scheme: "http", Host: r.Host}
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }}).ServeHTTP(w, r)
	})}
	go server.Serve(l)
	stop := context.AfterFunc(ctx, func() { server.Close() })
	end = func() {
		stop()
		server.Close()
	}
	if err := done(m.Run(ctx, "sh", "-c", "echo 127.0.0.1 "+strings.Join(debianHosts, " ")+" >>/etc/hosts")); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// listenIn listens in the network namespace of a process.
func listenIn(pid int, address string) (l net.Listener, err error) {
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "ns/net"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		// Never unlocked: the thread ends with the goroutine, and nobody else gets its namespace.
		runtime.LockOSThread()
		if err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err == nil {
			l, err = net.Listen("tcp4", address)
		}
	}()
	<-returned
	return l, err
}
