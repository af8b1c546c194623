package bus

import (
	"fmt"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/internal/plainbus"
	"ninefold/sessiond/api"
)

// Many views, and a sender that does not wait for answers, leave the others served.
func TestManyViewsAndAFlood(t *testing.T) {
	w := newWorld(t)
	w.service.change(func() {
		for i := range 200 {
			id := fmt.Sprintf("%d-many", i)
			w.service.views = append(w.service.views, api.View{ID: id, UID: uint32(i), User: "u", Profile: "p", Sessions: []string{"s" + id}})
			w.service.sessions = append(w.service.sessions, api.Session{ID: "s" + id, View: id, UID: uint32(i), Leader: i + 1, Since: time.Unix(int64(i), 0)})
		}
	})
	flood, err := plainbus.Connect(t.Context(), w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	answers := make(chan *dbus.Call, 4000)
	for range cap(answers) {
		flood.Object(Name, Path).Go(ManagerInterface+".GetView", 0, answers, "nobody")
	}
	began := time.Now()
	var objects map[dbus.ObjectPath]map[string]map[string]dbus.Variant
	if err := w.call(Path, objectsInterface+".GetManagedObjects").Store(&objects); err != nil || len(objects) != 2+1+1+400 {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	t.Logf("listed among a flood in %s", time.Since(began))
	for range cap(answers) {
		if c := <-answers; c.Err == nil {
			t.Fatal("a view that there is not was found")
		}
	}
	began = time.Now()
	if err := w.call(Path, objectsInterface+".GetManagedObjects").Store(&objects); err != nil {
		t.Fatal(err)
	}
	t.Logf("listed in %s", time.Since(began))
	w.server.gate.mu.Lock()
	defer w.server.gate.mu.Unlock()
	if w.server.gate.calls != 0 || len(w.server.gate.sender) != 0 {
		t.Errorf("calls are counted that are over: %d", w.server.gate.calls)
	}
}
