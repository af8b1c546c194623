package bus

import (
	"context"
	"slices"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
)

// seen is what there was at a moment.
type seen struct {
	status   api.Status
	views    []api.View
	sessions []api.Session
}

func (c *connected) look(ctx context.Context) (s seen, err error) {
	if s.status, err = c.Service.Status(ctx); err != nil {
		return s, err
	}
	if s.views, err = c.Service.Views(ctx); err != nil {
		return s, err
	}
	s.sessions, err = c.Service.Sessions(ctx)
	// Of one moment, whatever happened in between.
	s.status.Views, s.status.Sessions = len(s.views), len(s.sessions)
	return s, err
}

// objects are the views and then the sessions.
func (s seen) objects() []*object {
	var out []*object
	for _, v := range s.views {
		out = append(out, viewObject(v))
	}
	for _, x := range s.sessions {
		out = append(out, sessionObject(x))
	}
	return out
}

// announce tells the bus what is different from before. An event says only
// that something is: what a slow reader missed is thus made up for.
func (c *connected) announce(ctx context.Context, conn *dbus.Conn, before seen) (seen, error) {
	now, err := c.look(ctx)
	if err != nil {
		return before, err
	}
	var failed error
	emit := func(path dbus.ObjectPath, name string, args ...any) {
		if err := conn.Emit(path, name, args...); err != nil && failed == nil {
			failed = err
		}
	}
	word := func(o *object) string {
		if o.view.ID != "" {
			return ManagerInterface + ".View"
		}
		return ManagerInterface + ".Session"
	}
	was, is := before.objects(), now.objects()
	// What comes begins with views, what goes with sessions.
	for _, o := range slices.Backward(was) {
		if !slices.ContainsFunc(is, o.same) {
			emit(Path, word(o)+"Removed", text(o.view.ID+o.session.ID), o.path)
			emit(Path, objectsInterface+".InterfacesRemoved", o.path, []string{o.contracts[0].name})
		}
	}
	for _, o := range is {
		i := slices.IndexFunc(was, o.same)
		if i < 0 {
			emit(Path, objectsInterface+".InterfacesAdded", o.path, o.values)
			emit(Path, word(o)+"New", text(o.view.ID+o.session.ID), o.path)
			continue
		}
		emitChanged(emit, o.path, o.contracts[0], was[i].values, o.values)
	}
	wrap := func(st api.Status) map[string]map[string]dbus.Variant {
		return map[string]map[string]dbus.Variant{ManagerInterface: managerValues(st)}
	}
	emitChanged(emit, Path, &managerContract, wrap(before.status), wrap(now.status))
	return now, failed
}

// same reports whether o is the object other, and not another one of its id.
func (o *object) same(other *object) bool {
	return o.path == other.path && o.session.Leader == other.session.Leader && o.session.Since.Equal(other.session.Since)
}

func emitChanged(emit func(dbus.ObjectPath, string, ...any), path dbus.ObjectPath, k *contract, before, now map[string]map[string]dbus.Variant) {
	changed := map[string]dbus.Variant{}
	for _, p := range k.properties {
		if v := now[k.name][p.name]; p.changes == "true" && v.String() != before[k.name][p.name].String() {
			changed[p.name] = v
		}
	}
	if len(changed) > 0 {
		emit(path, propertiesInterface+".PropertiesChanged", k.name, changed, []string{})
	}
}
