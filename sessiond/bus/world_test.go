package bus

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/internal/plainbus"
	"ninefold/sessiond/api"
	"ninefold/tests/needs"
)

// world is a message bus of the test's own, with the policy that is installed,
// and the daemon's surface on it.
type world struct {
	t       *testing.T
	address string
	daemon  *exec.Cmd
	service *service
	server  *Server
	conn    *dbus.Conn // root's
	stop    context.CancelFunc
	done    chan struct{}
}

// Whose the first view is, and who else there is: every system has accounts of
// these uids, and the bus lets in nobody whose groups it cannot find out.
const owner, other = uint32(1), uint32(2)

const policy = `<busconfig><type>system</type><listen>%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><deny own="*"/><allow send_type="method_return"/><allow send_type="error"/><allow send_type="signal"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
<allow send_destination="org.freedesktop.DBus"/></policy>
<policy user="root"><allow own="org.freedesktop.PolicyKit1"/><allow send_destination="org.freedesktop.PolicyKit1"/></policy>
<include>%s</include></busconfig>`

func newWorld(t *testing.T) *world {
	t.Helper()
	needs.Root(t)
	needs.Programs(t, "dbus-daemon", "busctl")
	w := &world{t: t, address: fmt.Sprintf("unix:abstract=ninefold-test-%d-%d", os.Getpid(), time.Now().UnixNano()), service: newService()}
	w.startBus()
	t.Cleanup(func() { w.stopBus() })
	w.server = New(Options{Service: w.service, Binder: w.service, Keeper: w.service, Jobs: w.service, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Address: w.address})
	w.server.patience = patience{300 * time.Millisecond, 300 * time.Millisecond}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop, w.done = cancel, make(chan struct{})
	go func() { w.server.Serve(ctx); close(w.done) }()
	t.Cleanup(func() { cancel(); <-w.done })
	w.connect()
	return w
}

func (w *world) startBus() {
	w.t.Helper()
	installed, err := filepath.Abs("../../systemd-units/org.ninefold.conf")
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "bus.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, policy, w.address, installed), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.daemon = exec.Command("dbus-daemon", "--config-file="+file, "--nofork", "--nopidfile", "--print-address=1")
	w.daemon.Stderr = w.t.Output()
	w.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := w.daemon.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.daemon.Start(); err != nil {
		w.t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		w.t.Fatalf("dbus-daemon: %v", err)
	}
}

func (w *world) stopBus() {
	_ = w.daemon.Process.Kill()
	_ = w.daemon.Wait()
}

// connect connects as root and waits until the daemon is there.
func (w *world) connect() {
	w.t.Helper()
	conn, err := plainbus.Connect(w.t.Context(), w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	w.conn = conn
	w.eventually("the name", func() bool {
		var has bool
		return conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, Name).Store(&has) == nil && has
	})
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// call calls a method as root; path "" is the manager.
func (w *world) call(path dbus.ObjectPath, name string, args ...any) *dbus.Call {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	return w.conn.Object(Name, path).CallWithContext(ctx, name, 0, args...)
}

// as calls a method as another user, by dbus-send, and returns what it printed.
func (w *world) as(uid uint32, path dbus.ObjectPath, name string, args ...string) string {
	w.t.Helper()
	return w.asTo(uid, Name, path, name, args...)
}

// asTo calls a method of another service as another user.
func (w *world) asTo(uid uint32, service string, path dbus.ObjectPath, name string, args ...string) string {
	w.t.Helper()
	c := exec.Command("dbus-send", append([]string{"--bus=" + w.address, "--print-reply", "--reply-timeout=8000", "--dest=" + service, string(path), name}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	c.Dir = "/"
	out, err := c.CombinedOutput()
	if err != nil && len(out) == 0 {
		w.t.Fatal(err)
	}
	return string(out)
}

func errorName(c *dbus.Call) string {
	if e, ok := c.Err.(dbus.Error); ok {
		return e.Name
	}
	if c.Err != nil {
		return c.Err.Error()
	}
	return ""
}

// service is a daemon without views but those that a test puts in.
type service struct {
	mu       sync.Mutex
	views    []api.View
	sessions []api.Session
	ended    []string
	reloaded int
	problem  error
	watch    []chan api.Event
	bound    []api.NewBind
	restored []string
	mounted  []api.NewMount
	jobs     []api.Job
	of       api.EventKind // of what change tells
}

func newService() *service {
	at := time.Unix(1700000000, 0)
	ns, _ := os.Stat("/proc/self/ns/mnt")
	return &service{
		views: []api.View{
			{ID: "1000-abc", UID: owner, User: "mia", Profile: "desktop", Class: "trusted", Layers: []string{"desktop", "host"}, Isolated: []string{"mount"},
				Holder: 4711, Scope: "ninefold-view-1000-abc.scope", MountNS: ns.Sys().(*syscall.Stat_t).Ino, Created: at, Manager: true, Sessions: []string{"c1"}, Plan: "# the plan\n"},
			{ID: "1001-def", UID: other, User: "bad\xffname", Profile: "host", Class: "trusted", Created: at},
		},
		sessions: []api.Session{{ID: "c1", View: "1000-abc", UID: owner, User: "mia", Profile: "desktop", Service: "sshd", TTY: "pts/0", Rhost: "a\x00b", Leader: 99, Since: at}},
		jobs:     []api.Job{{ID: "3", Kind: api.JobPull, Subject: "steve/gaming", UID: owner, State: api.JobRunning, Stage: "download", Done: 5, Total: 9, Created: at}},
	}
}

func (s *service) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	for _, c := range s.watch {
		select {
		case c <- api.Event{Kind: s.of}:
		default:
		}
	}
}

func (s *service) did() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ended)
}

func (s *service) Status(context.Context) (api.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := api.Status{Views: len(s.views), Sessions: len(s.sessions), Started: time.Unix(1700000000, 0)}
	if s.problem != nil {
		st.ConfigError = s.problem.Error()
	}
	return st, nil
}

func (s *service) Views(context.Context) ([]api.View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.views), nil
}

func (s *service) View(_ context.Context, id string) (api.View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.views {
		if v.ID == id {
			return v, nil
		}
	}
	return api.View{}, fmt.Errorf("view %s: %w", id, api.ErrNotFound)
}

func (s *service) Sessions(context.Context) ([]api.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sessions), nil
}

func (s *service) Session(_ context.Context, id string) (api.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.sessions {
		if x.ID == id {
			return x, nil
		}
	}
	return api.Session{}, fmt.Errorf("session %s: %w", id, api.ErrNotFound)
}

func (s *service) Profiles(context.Context) ([]api.Profile, error) {
	return []api.Profile{{Name: "desktop", Base: "debian", Default: true}}, nil
}

func (s *service) Images(context.Context) ([]api.Image, error) {
	return []api.Image{{Name: "debian", ID: "0123"}}, nil
}

func (s *service) Outlook(_ context.Context, user, choice string) (api.Outlook, error) {
	switch user {
	case "mia":
		return api.Outlook{User: user, UID: owner, Profile: "desktop", Why: "the default of mia"}, nil
	case "panic":
		panic("a fault of the daemon's")
	}
	return api.Outlook{}, fmt.Errorf("user %q: no such user", user)
}

func (s *service) EndSession(_ context.Context, id string) error {
	s.change(func() {
		s.ended = append(s.ended, id)
		s.sessions = slices.DeleteFunc(slices.Clone(s.sessions), func(x api.Session) bool { return x.ID == id })
	})
	return nil
}

func (s *service) EndView(_ context.Context, id string) error {
	s.change(func() {
		s.ended = append(s.ended, id)
		s.views = slices.DeleteFunc(slices.Clone(s.views), func(v api.View) bool { return v.ID == id })
	})
	return nil
}

func (s *service) Namespace(context.Context, string) (*os.File, error) { return nil, api.ErrNotFound }

func (s *service) Reload(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloaded++
	return s.problem
}

func (s *service) Bind(_ context.Context, _ string, b api.NewBind) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound = append(s.bound, b)
	return nil
}

func (s *service) Mount(_ context.Context, _ string, m api.NewMount) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mounted = append(s.mounted, m)
	return nil
}

func (s *service) Unmount(context.Context, string, string) error { return nil }

func (s *service) List(context.Context, string) ([]api.Bind, error) {
	return []api.Bind{{Target: "/home/mia/x", ReadOnly: true}}, nil
}

func (s *service) Changes(context.Context, string) (api.Changes, error) {
	return api.Changes{Files: 3, Stale: []string{"the host's packages changed"}}, nil
}

func (s *service) Parked(context.Context) ([]api.Parked, error) {
	return []api.Parked{{ID: "mias", UID: owner}, {ID: "roots"}}, nil
}

func (s *service) Restore(_ context.Context, view, id string, asRoot, over bool) (api.Restored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restored = append(s.restored, fmt.Sprint(view, " ", id, " ", asRoot, over))
	return api.Restored{Files: 1}, nil
}

func (s *service) Discard(_ context.Context, id string) error {
	s.change(func() { s.ended = append(s.ended, id) })
	return nil
}

func (s *service) Subscribe(ctx context.Context) <-chan api.Event {
	c := make(chan api.Event, 16)
	s.mu.Lock()
	s.watch = append(s.watch, c)
	s.mu.Unlock()
	return c
}

// contains reports whether what dbus-send printed has all of words.
func contains(out string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(out, w) {
			return false
		}
	}
	return true
}

func listen(t *testing.T, name string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
