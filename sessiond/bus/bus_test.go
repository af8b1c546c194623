package bus

import (
	"encoding/xml"
	"reflect"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"

	"ninefold/sessiond/api"
)

func TestListings(t *testing.T) {
	w := newWorld(t)
	var views []viewRow
	if err := w.call(Path, ManagerInterface+".ListViews").Store(&views); err != nil {
		t.Fatal(err)
	}
	want := []viewRow{{"1000-abc", owner, "mia", "desktop", "/org/ninefold/view/_31000_2dabc"}, {"1001-def", other, "bad\uFFFDname", "host", "/org/ninefold/view/_31001_2ddef"}}
	if !reflect.DeepEqual(views, want) {
		t.Errorf("got %+v, want %+v", views, want)
	}
	var objects map[dbus.ObjectPath]map[string]map[string]dbus.Variant
	if err := w.call(Path, objectsInterface+".GetManagedObjects").Store(&objects); err != nil {
		t.Fatal(err)
	}
	if got := objects[ViewPath("1000-abc")][ViewInterface]["Layers"].Value(); !reflect.DeepEqual(got, []string{"desktop", "host"}) {
		t.Errorf("the layers are %v", got)
	}
	if got := objects[SessionPath("c1")][SessionInterface]["RemoteHost"].Value(); got != "a\uFFFDb" {
		t.Errorf("the remote host is %q", got)
	}
	var path dbus.ObjectPath
	if err := w.call(Path, ManagerInterface+".GetViewByPID", uint32(0)).Store(&path); err != nil || path != ViewPath("1000-abc") {
		t.Errorf("the caller's view is %s, %v", path, err)
	}
	if got := w.as(other, ViewPath("1000-abc"), propertiesInterface+".GetAll", "string:"+ViewInterface); !contains(got, "ninefold-view-1000-abc.scope") {
		t.Errorf("another user sees: %s", got)
	}
}

// Every method answers with the signature that the introspection data tell.
func TestAnswersAreAsDescribed(t *testing.T) {
	w := newWorld(t)
	args := map[string][]any{
		"GetView": {"1000-abc"}, "GetSession": {"c1"}, "GetViewByPID": {uint32(0)}, "GetOutlook": {"mia", ""},
		"EndView": {"1001-def"}, "EndSession": {"c1"}, "Get": {ViewInterface, "Id"}, "GetAll": {ViewInterface}, "Set": {ViewInterface, "Id", dbus.MakeVariant("x")},
		"Bind": {"/src", "/home/mia/x", true}, "Unmount": {"/home/mia/x"}, "Mount": {"tmpfs", "/home/mia/x", "", false, uint64(0)},
		"Restore": {"mias", false}, "DiscardParked": {"mias"}, "GetJob": {"3"}, "CancelJob": {"3"},
	}
	none := map[string]dbus.Variant{}
	for _, name := range []string{"BuildImages", "VerifyImages", "RemoveImages"} {
		args[name] = []any{[]string{"a"}, none}
	}
	args["PullImage"], args["CollectGarbage"] = []any{"a", none}, []any{none}
	for _, path := range []dbus.ObjectPath{ViewPath("1000-abc"), SessionPath("c1"), JobPath("3"), Path} {
		var xmlData string
		if err := w.call(path, introspectInterface+".Introspect").Store(&xmlData); err != nil {
			t.Fatal(err)
		}
		var n introspect.Node
		if err := xml.Unmarshal([]byte(xmlData), &n); err != nil {
			t.Fatal(err)
		}
		for _, in := range n.Interfaces {
			for _, m := range in.Methods {
				if m.Name == "Set" || m.Name == "End" || in.Name == propertiesInterface && path != ViewPath("1000-abc") {
					continue
				}
				c := w.call(path, in.Name+"."+m.Name, args[m.Name]...)
				if c.Err != nil {
					t.Errorf("%s of %s: %v", m.Name, path, c.Err)
					continue
				}
				want := ""
				for _, a := range m.Args {
					if a.Direction == "out" {
						want += a.Type
					}
				}
				if got := signatureOfBody(c.Body); got != want {
					t.Errorf("%s of %s: the answer is (%s), told is (%s)", m.Name, path, got, want)
				}
			}
			var all map[string]dbus.Variant
			if err := w.call(path, propertiesInterface+".GetAll", in.Name).Store(&all); err != nil && in.Name != "org.freedesktop.DBus.Peer" {
				t.Fatal(err)
			}
			if len(all) != len(in.Properties) {
				t.Errorf("%s of %s has %d properties, told are %d", in.Name, path, len(all), len(in.Properties))
			}
			for _, p := range in.Properties {
				if got := all[p.Name].Signature().String(); got != p.Type {
					t.Errorf("property %s is of type %q, told is %q", p.Name, got, p.Type)
				}
			}
		}
	}
}

// signatureOfBody is that of values as they arrived: structs come as []any.
func signatureOfBody(body []any) string {
	s := ""
	for _, v := range body {
		switch v := v.(type) {
		case []any:
			s += "(" + signatureOfBody(v) + ")"
		case [][]any:
			s += "a"
			if len(v) > 0 {
				s += "(" + signatureOfBody(v[0]) + ")"
			}
		default:
			s += dbus.SignatureOf(v).String()
		}
	}
	return s
}

func TestSignals(t *testing.T) {
	w := newWorld(t)
	signals := make(chan *dbus.Signal, 64)
	w.conn.Signal(signals)
	if err := w.conn.AddMatchSignal(dbus.WithMatchSender(Name)); err != nil {
		t.Fatal(err)
	}
	expect := func(name string, path dbus.ObjectPath, first any) {
		t.Helper()
		end := time.After(5 * time.Second)
		for {
			select {
			case s := <-signals:
				if s.Name == name && s.Path == path && (first == nil || s.Body[0] == first) {
					return
				}
			case <-end:
				t.Fatalf("waited in vain for %s of %s", name, path)
			}
		}
	}
	changed := propertiesInterface + ".PropertiesChanged"
	w.service.change(func() { w.service.views = append(w.service.views, api.View{ID: "7-x", UID: 7}) })
	expect(objectsInterface+".InterfacesAdded", Path, ViewPath("7-x"))
	expect(ManagerInterface+".ViewNew", Path, "7-x")
	expect(changed, Path, ManagerInterface)
	w.service.change(func() {
		w.service.views[2].Sessions = []string{"p5"}
		w.service.sessions = append(w.service.sessions, api.Session{ID: "p5", View: "7-x", Leader: 5})
	})
	expect(changed, ViewPath("7-x"), ViewInterface)
	expect(ManagerInterface+".SessionNew", Path, "p5")
	// Somebody else's session of the same id is another one.
	w.service.change(func() { w.service.sessions[1].Leader = 6 })
	expect(ManagerInterface+".SessionRemoved", Path, "p5")
	expect(ManagerInterface+".SessionNew", Path, "p5")
	if err := w.call(ViewPath("7-x"), ViewInterface+".End").Err; err != nil {
		t.Fatal(err)
	}
	expect(ManagerInterface+".ViewRemoved", Path, "7-x")
	expect(objectsInterface+".InterfacesRemoved", Path, ViewPath("7-x"))
}

func TestComesBackAfterTheBusWasAway(t *testing.T) {
	w := newWorld(t)
	w.stopBus()
	w.startBus()
	w.connect()
	if err := w.call(Path, ManagerInterface+".ListViews").Err; err != nil {
		t.Fatal(err)
	}
}

func FuzzLabel(f *testing.F) {
	for _, s := range []string{"", "1000-abc", "_", "ä", "c1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if got, ok := unlabel(label(id)); !ok || got != id {
			t.Fatalf("%q became %q", id, got)
		}
		if !ViewPath(id).IsValid() {
			t.Fatalf("%s is no path", ViewPath(id))
		}
		if back, ok := unlabel(id); ok && label(back) != id {
			t.Fatalf("%q stands for %q, whose label is %q", id, back, label(back))
		}
	})
}
