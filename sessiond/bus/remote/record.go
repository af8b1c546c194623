package remote

import (
	"cmp"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
)

// record is the properties of an object. What is missing, or of another type
// than it is today, is empty: the daemon may be newer than the command.
type record map[string]dbus.Variant

func value[T any](r record, name string) T {
	v, _ := r[name].Value().(T)
	return v
}

func (r record) text(name string) string    { return value[string](r, name) }
func (r record) texts(name string) []string { return value[[]string](r, name) }
func (r record) number(name string) uint32  { return value[uint32](r, name) }
func (r record) time(name string) time.Time {
	return time.UnixMicro(int64(value[uint64](r, name))).UTC()
}

func viewOf(r record) api.View {
	return api.View{ID: r.text("Id"), UID: r.number("User"), User: r.text("Name"), Profile: r.text("Profile"), Class: r.text("Class"),
		Layers: r.texts("Layers"), Isolated: r.texts("Isolated"), Holder: int(r.number("Holder")), Scope: r.text("Scope"),
		MountNS: value[uint64](r, "MountNamespace"), Created: r.time("Timestamp"), Notes: r.texts("Notes"),
		Sessions: r.texts("Sessions"), Manager: value[bool](r, "HasManager")}
}

func sessionOf(r record) api.Session {
	return api.Session{ID: r.text("Id"), View: r.text("View"), UID: r.number("User"), User: r.text("Name"), Profile: r.text("Profile"),
		Service: r.text("Service"), TTY: r.text("TTY"), Rhost: r.text("RemoteHost"), Leader: int(r.number("Leader")), Since: r.time("Timestamp")}
}

func sortByAge(views []api.View, sessions []api.Session) {
	slices.SortFunc(views, func(a, b api.View) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	slices.SortFunc(sessions, func(a, b api.Session) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
}
