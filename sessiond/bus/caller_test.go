package bus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/internal/plainbus"
	"ninefold/sessiond/api"
)

// authority answers in the place of polkit, whose answers are an
// administrator's; the real one is asked on booted machines.
type authority struct {
	mu       sync.Mutex
	asked    []string
	answer   answer
	hang     chan struct{}
	canceled chan string
}

func (a *authority) CheckAuthorization(s subject, action string, details map[string]string, flags uint32, id string) (answer, *dbus.Error) {
	a.mu.Lock()
	a.asked = append(a.asked, fmt.Sprint(s.Kind, " uid=", s.Details["uid"].Value(), " ", action, " ", details["view"], " ", flags,
		" start=", s.Details["start-time"].Value() != uint64(0)))
	hang, got := a.hang, a.answer
	a.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return got, nil
}

func (a *authority) CancelCheckAuthorization(id string) *dbus.Error {
	a.canceled <- id
	return nil
}

func (w *world) authority() *authority {
	a := &authority{canceled: make(chan string, 1)}
	if err := w.conn.Export(a, polkitPath, polkitInterface); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.conn.RequestName(polkitName, dbus.NameFlagDoNotQueue); err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (a *authority) set(x answer, hang chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer, a.hang = x, hang
}

const accessDenied = "org.freedesktop.DBus.Error.AccessDenied"

func TestOthersViewsNeedPolkit(t *testing.T) {
	w := newWorld(t)
	end := func() string { return w.as(other, Path, ManagerInterface+".EndView", "string:1000-abc") }
	if got := end(); !contains(got, accessDenied, "no polkit") {
		t.Errorf("without polkit: %s", got)
	}
	a := w.authority()
	if got := end(); !contains(got, accessDenied, actionEnd) {
		t.Errorf("polkit says no: %s", got)
	}
	a.set(answer{Challenge: true}, nil)
	if got := end(); !contains(got, "InteractiveAuthorizationRequired") {
		t.Errorf("polkit wants a password: %s", got)
	}
	hang := make(chan struct{})
	a.set(answer{Authorized: true}, hang)
	if got := end(); !contains(got, accessDenied, "in time") {
		t.Errorf("polkit hangs: %s", got)
	}
	select {
	case <-a.canceled:
	case <-time.After(5 * time.Second):
		t.Error("the question was not taken back")
	}
	close(hang)
	if got := w.service.did(); len(got) > 0 {
		t.Fatalf("ended all the same: %v", got)
	}
	a.set(answer{Authorized: true}, nil)
	if got := end(); contains(got, "Error") {
		t.Errorf("polkit says yes: %s", got)
	}
	if got := w.service.did(); !slices.Equal(got, []string{"1000-abc"}) {
		t.Errorf("ended: %v", got)
	}
	want := fmt.Sprint("unix-process uid=", other, " ") + actionEnd + " 1000-abc 0 start=true"
	if !slices.Contains(a.asked, want) {
		t.Errorf("polkit was asked %q, want %q", a.asked, want)
	}
}

func TestOwnAndRootsWay(t *testing.T) {
	w := newWorld(t)
	if got := w.as(owner, SessionPath("c1"), SessionInterface+".End"); contains(got, "Error") {
		t.Errorf("own session: %s", got)
	}
	if got := w.as(owner, ViewPath("1000-abc"), ViewInterface+".GetNamespaceFile"); !contains(got, "# the plan") {
		t.Errorf("own namespace file: %s", got)
	}
	if got := w.as(other, ViewPath("1000-abc"), ViewInterface+".GetNamespaceFile"); !contains(got, accessDenied) || contains(got, "# the plan") {
		t.Errorf("another's namespace file: %s", got)
	}
	if got := w.as(owner, ViewPath("1000-abc"), ViewInterface+".End"); contains(got, "Error") {
		t.Errorf("own view: %s", got)
	}
	if got := w.as(owner, Path, ManagerInterface+".Reload"); !contains(got, accessDenied) {
		t.Errorf("reload as a user: %s", got)
	}
	if err := w.call(Path, ManagerInterface+".Reload").Err; err != nil || w.service.reloaded != 1 {
		t.Errorf("reload as root: %v, %d", err, w.service.reloaded)
	}
	if err := w.call(Path, ManagerInterface+".EndView", "1001-def").Err; err != nil {
		t.Errorf("root: %v", err)
	}
	if got := w.service.did(); !slices.Equal(got, []string{"c1", "1000-abc", "1001-def"}) {
		t.Errorf("ended: %v", got)
	}
}

// Root's sources are opened as root, everybody else's as the view's user, who is
// the only one to bind without polkit.
func TestWhoBinds(t *testing.T) {
	w := newWorld(t)
	args := []string{"string:/src", "string:/home/mia/x", "boolean:true"}
	path, name := ViewPath("1000-abc"), ViewInterface+".Bind"
	if got := w.as(owner, path, name, args...); contains(got, "Error") {
		t.Errorf("own view: %s", got)
	}
	if got := w.as(other, path, name, args...); !contains(got, accessDenied) {
		t.Errorf("another's view: %s", got)
	}
	if got := w.as(other, path, ViewInterface+".Unmount", "string:/home/mia/x"); !contains(got, accessDenied) {
		t.Errorf("another's unmount: %s", got)
	}
	if got := w.as(other, path, ViewInterface+".ListBinds"); !contains(got, accessDenied) {
		t.Errorf("another's list: %s", got)
	}
	if got := w.as(owner, path, name, "string:"+strings.Repeat("x", maxPath+1), args[1], args[2]); !contains(got, "InvalidArgs") {
		t.Errorf("a long name: %s", got)
	}
	// The view of 1001-def is in no namespace of this test's.
	for _, id := range []string{"1000-abc", "1001-def"} {
		if err := w.call(ViewPath(id), name, "/src", "/home/mia/x", false).Err; err != nil {
			t.Errorf("root: %v", err)
		}
	}
	a := w.authority()
	a.set(answer{Authorized: true}, nil)
	if got := w.as(other, path, name, args...); contains(got, "Error") {
		t.Errorf("polkit says yes: %s", got)
	}
	mine := api.NewBind{Source: "/src", Target: "/home/mia/x", ReadOnly: true}
	want := []api.NewBind{mine, {Source: "/src", Target: "/home/mia/x", AsRoot: true}, {Source: "/src", Target: "/home/mia/x", AsRoot: true, OnHost: true}, mine}
	if !slices.Equal(w.service.bound, want) {
		t.Errorf("bound is %+v, want %+v", w.service.bound, want)
	}
}

// Memory is everybody's to mount in their own view; what is in a file root's.
func TestWhoMounts(t *testing.T) {
	w := newWorld(t)
	path, name := ViewPath("1000-abc"), ViewInterface+".Mount"
	args := func(source string) []string {
		return []string{"string:" + source, "string:/home/mia/x", "string:", "boolean:true", "uint64:4096"}
	}
	if got := w.as(owner, path, name, args("tmpfs")...); contains(got, "Error") {
		t.Errorf("own view: %s", got)
	}
	for who, source := range map[uint32]string{owner: "/file", other: "tmpfs"} {
		if got := w.as(who, path, name, args(source)...); !contains(got, accessDenied) {
			t.Errorf("%s of %d: %s", source, who, got)
		}
	}
	if err := w.call(path, name, "/file", "/home/mia/x", "ext4", false, uint64(0)).Err; err != nil {
		t.Error(err)
	}
	want := []api.NewMount{{Target: "/home/mia/x", ReadOnly: true, Size: 4096}, {Source: "/file", Target: "/home/mia/x", Type: "ext4", AsRoot: true}}
	if !slices.Equal(w.service.mounted, want) {
		t.Errorf("mounted is %+v, want %+v", w.service.mounted, want)
	}
}

// What a login gets is not a way to find out who there is.
func TestOutlookIsForOneself(t *testing.T) {
	w := newWorld(t)
	if got := w.as(owner, Path, ManagerInterface+".GetOutlook", "string:mia", "string:"); !contains(got, "the default of mia") {
		t.Errorf("own: %s", got)
	}
	others := w.as(other, Path, ManagerInterface+".GetOutlook", "string:mia", "string:")
	none := w.as(other, Path, ManagerInterface+".GetOutlook", "string:nobody-here", "string:")
	if !contains(others, accessDenied) || others != none {
		t.Errorf("another's: %s\nof nobody: %s", others, none)
	}
	if got := w.as(owner, Path, ManagerInterface+".GetOutlook", "string:"+strings.Repeat("x", 1<<16), "string:"); !contains(got, "InvalidArgs") {
		t.Errorf("a long name: %s", got)
	}
}

func TestBadCallers(t *testing.T) {
	w := newWorld(t)
	const unknown = "org.freedesktop.DBus.Error.Unknown"
	for _, c := range []struct {
		path dbus.ObjectPath
		name string
		args []any
		want string
	}{
		{Path, ManagerInterface + ".EndView", nil, "InvalidArgs"},
		{Path, ManagerInterface + ".EndView", []any{uint32(1)}, "InvalidArgs"},
		{Path, ManagerInterface + ".EndView", []any{"1000-abc", "more"}, "InvalidArgs"},
		{Path, ManagerInterface + ".EndView", []any{dbus.ObjectPath("/a")}, "InvalidArgs"},
		{Path, ManagerInterface + ".EndView", []any{dbus.MakeVariant("1000-abc")}, "InvalidArgs"},
		{Path, ManagerInterface + ".GetViewByPID", []any{int32(1)}, "InvalidArgs"},
		{Path, ManagerInterface + ".EndView", []any{"no-such"}, Name + ".Error.NotFound"},
		{Path, ManagerInterface + ".EndView", []any{"../../../etc"}, Name + ".Error.NotFound"},
		{Path, ManagerInterface + ".GetViewByPID", []any{uint32(4294967295)}, Name + ".Error.NotFound"},
		{Path, ManagerInterface + ".Nothing", nil, unknown + "Method"},
		{Path, "org.other.Interface.Nothing", nil, unknown + "Interface"},
		{ViewsPath + "/nobody", ViewInterface + ".End", nil, "NoSuchObject"},
		{ViewsPath + "/_3", ViewInterface + ".End", nil, "NoSuchObject"},
		{ViewPath("1000-abc") + "/x", ViewInterface + ".End", nil, "NoSuchObject"},
		{Path, ViewInterface + ".End", nil, unknown + "Interface"},
		{Path, propertiesInterface + ".Set", []any{ManagerInterface, "NViews", dbus.MakeVariant(uint32(1))}, "PropertyReadOnly"},
		{Path, propertiesInterface + ".Get", []any{ManagerInterface, "Nothing"}, unknown + "Property"},
		{Path, propertiesInterface + ".GetAll", []any{"nothing"}, unknown + "Interface"},
		{Path, ManagerInterface + ".GetOutlook", []any{"panic", ""}, "Failed"},
	} {
		if got := errorName(w.call(c.path, c.name, c.args...)); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s%v of %s: %q, want %q", c.name, c.args, c.path, got, c.want)
		}
	}
	if got := w.service.did(); len(got) > 0 {
		t.Errorf("ended: %v", got)
	}
}

// Whatever descriptors come along, the bus keeps them from the daemon: those of
// messages that nobody understands would stay open.
func TestDescriptorsAreRefused(t *testing.T) {
	w := newWorld(t)
	able, err := dbus.Connect(w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer able.Close()
	open := func() int { d, _ := filepath.Glob("/proc/self/fd/*"); return len(d) }
	before := open()
	for range 20 {
		for _, method := range []string{ManagerInterface + ".ListViews", "org.no.Such", ManagerInterface + ".Reload"} {
			c := able.Object(Name, Path).Call(method, 0, dbus.UnixFD(0))
			if got := errorName(c); got != "org.freedesktop.DBus.Error.NotSupported" {
				t.Fatalf("%s with a descriptor: %q", method, got)
			}
		}
	}
	if after := open(); after > before+2 {
		t.Errorf("%d descriptors were open, now %d are", before, after)
	}
}

func TestNobodyElseHasTheName(t *testing.T) {
	w := newWorld(t)
	w.stop()
	<-w.done
	got := w.asTo(owner, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.RequestName", "string:"+Name, "uint32:0")
	if !contains(got, accessDenied) {
		t.Errorf("uid 1000 has %s: %s", Name, got)
	}
}

func TestGate(t *testing.T) {
	g := newGate()
	for range maxOfSender {
		if !g.enter("a") {
			t.Fatal("no room")
		}
	}
	if g.enter("a") || !g.enter("b") {
		t.Error("one sender takes the places of others, or has no bound")
	}
	var leave []func()
	for range maxAsked {
		release, ok := g.ask(1000)
		if !ok {
			t.Fatal("no room for a question")
		}
		leave = append(leave, release)
	}
	if _, ok := g.ask(1000); ok {
		t.Error("questions have no bound")
	}
	for _, f := range leave {
		f()
	}
	for range maxOfSender {
		g.leave("a")
	}
	g.leave("b")
	if g.calls != 0 || len(g.sender) != 0 || len(g.asked) != 0 {
		t.Errorf("left over: %+v", g)
	}
}

func TestSlowServiceIsLeftBehind(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	// A socket that nobody accepts from: connecting succeeds, the rest never comes.
	name := filepath.Join(t.TempDir(), "bus")
	l := listen(t, name)
	defer l.Close()
	if _, err := plainbus.Connect(ctx, "unix:path="+name); err == nil || !os.IsTimeout(err) && ctx.Err() == nil {
		t.Errorf("got %v", err)
	}
}

// What is put aside is told, given back and discarded to whom it belongs, and
// given back as root to root alone.
func TestWhoGetsWhatIsPutAside(t *testing.T) {
	w := newWorld(t)
	list, discard, restore := ManagerInterface+".ListParked", ManagerInterface+".DiscardParked", ViewInterface+".Restore"
	if got := w.as(owner, Path, list); !contains(got, "mias") || contains(got, "roots") {
		t.Errorf("the owner's: %s", got)
	}
	if got := w.as(other, Path, list); contains(got, "Error") || contains(got, "mias") {
		t.Errorf("another's: %s", got)
	}
	if got := w.as(other, Path, discard, "string:mias"); !contains(got, accessDenied) {
		t.Errorf("another discards: %s", got)
	}
	if got := w.as(owner, Path, discard, "string:none"); !contains(got, "NotFound") {
		t.Errorf("of nothing: %s", got)
	}
	if got := w.as(owner, Path, discard, "string:mias"); contains(got, "Error") {
		t.Errorf("the owner discards: %s", got)
	}
	path := ViewPath("1000-abc")
	for _, m := range []string{restore, ViewInterface + ".GetChanges"} {
		args := []string{"string:mias", "boolean:false"}
		if m != restore {
			args = nil
		}
		if got := w.as(other, path, m, args...); !contains(got, accessDenied) {
			t.Errorf("another's %s: %s", m, got)
		}
		if got := w.as(owner, path, m, args...); contains(got, "Error") {
			t.Errorf("the owner's %s: %s", m, got)
		}
	}
	if err := w.call(path, restore, "mias", true).Err; err != nil {
		t.Error(err)
	}
	if want := []string{"1000-abc mias false false", "1000-abc mias true true"}; !slices.Equal(w.service.restored, want) {
		t.Errorf("restored %q", w.service.restored)
	}
}
