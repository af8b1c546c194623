package notify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"ninefold/tests/needs"
)

// sessionBus runs a bus and returns its address.
func sessionBus(t *testing.T) string {
	t.Helper()
	socket := t.TempDir() + "/bus"
	needs.Bus(t, socket)
	return "unix:path=" + socket
}

// shower has the name of the service on a bus, and keeps what it is to show.
type shower struct{ shown chan string }

func (s *shower) Notify(app string, replaces uint32, icon, summary, text string, actions []string, hints map[string]dbus.Variant, expires int32) (uint32, *dbus.Error) {
	s.shown <- fmt.Sprint(app, replaces, icon, "|", summary, "|", text, "|", actions, hints["urgency"].Value(), expires)
	return 1, nil
}

func serve(t *testing.T, address string) *shower {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &shower{make(chan string, 1)}
	if err := conn.Export(s, path, name); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return s
}

// What is to be shown reaches the bus on which somebody shows it, past those that are gone
// or have nobody.
func TestShow(t *testing.T) {
	without, with := sessionBus(t), sessionBus(t)
	s := serve(t, with)
	buses := []string{"unix:path=/nowhere/bus", "tcp:host=localhost,port=1", without, with}
	if err := Show(t.Context(), buses, Notice{"Your session ends in 5m0s", "Then it is over."}); err != nil {
		t.Fatal(err)
	}
	if got, want := <-s.shown, "Ninefold0dialog-warning|Your session ends in 5m0s|Then it is over.|[] 2 0"; got != want {
		t.Errorf("shown is %q, not %q", got, want)
	}
	for _, buses := range [][]string{nil, {without}} {
		if err := Show(t.Context(), buses, Notice{}); !errors.Is(err, ErrNobody) {
			t.Errorf("shown on %q: %v", buses, err)
		}
	}
}

func TestBuses(t *testing.T) {
	proc := t.TempDir()
	for pid, environment := range map[string]string{
		"1": "", "12": "PATH=/bin\x00DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/second\x00", "9": "DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/first,guid=1\x00HOME=/",
		"70": "DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/second", "71": "DBUS_SESSION_BUS_ADDRESS=" + strings.Repeat("x", maxAddress+1),
		"72": "X_DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/other\x00DBUS_SESSION_BUS_ADDRESS=\x00", "sys": "DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/none",
	} {
		dir := filepath.Join(proc, pid)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "environ"), []byte(environment), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(proc, "8"), 0o700); err != nil { // another's
		t.Fatal(err)
	}
	if got, want := Buses(proc), []string{"unix:path=/tmp/first,guid=1", "unix:path=/tmp/second"}; !slices.Equal(got, want) {
		t.Errorf("found %q, not %q", got, want)
	}
	if got := Buses(filepath.Join(proc, "none")); got != nil {
		t.Errorf("found %q in nothing", got)
	}
	for pid := 100; pid < 100+2*maxBuses; pid++ {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "environ"), fmt.Appendf(nil, "%s%d", addressVariable, pid), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got := Buses(proc); len(got) != maxBuses {
		t.Errorf("%d buses are asked: %q", len(got), got)
	}
}

func FuzzAddress(f *testing.F) {
	f.Add([]byte("HOME=/\x00DBUS_SESSION_BUS_ADDRESS=unix:path=/tmp/a\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, environment []byte) {
		if a := address(environment); len(a) > maxAddress || strings.Contains(a, "\x00") {
			t.Errorf("%q: %q", environment, a)
		}
	})
}
