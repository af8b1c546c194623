package bus

import (
	"context"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
)

// seen is what there was at a moment.
type seen struct {
	status   api.Status
	views    []api.View
	sessions []api.Session
	jobs     []api.Job
}

func (c *connected) look(ctx context.Context) (s seen, err error) {
	if s.status, err = c.Service.Status(ctx); err != nil {
		return s, err
	}
	if s.views, err = c.Service.Views(ctx); err != nil {
		return s, err
	}
	if s.sessions, err = c.Service.Sessions(ctx); err != nil {
		return s, err
	}
	// Of one moment, whatever happened in between.
	s.status.Views, s.status.Sessions = len(s.views), len(s.sessions)
	s.jobs, err = c.allJobs(ctx)
	return s, err
}

// objects are the jobs, the views and then the sessions.
func (s seen) objects() []*object {
	var out []*object
	for _, x := range s.jobs {
		out = append(out, jobObject(x))
	}
	for _, v := range s.views {
		out = append(out, viewObject(v))
	}
	for _, x := range s.sessions {
		out = append(out, sessionObject(x))
	}
	return out
}

// announce tells the bus what is different from before. An event says only
// that something is: what a slow reader missed is thus made up for. With jobs it
// looks at these alone: they say several times a second how far they are.
func (c *connected) announce(ctx context.Context, conn *dbus.Conn, before seen, jobs bool) (seen, error) {
	now, err := before, error(nil)
	if jobs {
		now.jobs, err = c.allJobs(ctx)
	} else {
		now, err = c.look(ctx)
	}
	if err != nil {
		return before, err
	}
	var failed error
	emit := func(path dbus.ObjectPath, name string, args ...any) {
		if err := conn.Emit(path, name, args...); err != nil && failed == nil {
			failed = err
		}
	}
	was, is := before.objects(), now.objects()
	if jobs {
		was, is = seen{jobs: before.jobs}.objects(), seen{jobs: now.jobs}.objects()
	}
	// What comes begins with views, what goes with sessions.
	for _, o := range slices.Backward(was) {
		if !slices.ContainsFunc(is, o.same) {
			emit(Path, o.word()+"Removed", text(o.id()), o.path)
			emit(Path, objectsInterface+".InterfacesRemoved", o.path, []string{o.contracts[0].name})
		}
	}
	for _, o := range is {
		i := slices.IndexFunc(was, o.same)
		if i < 0 {
			emit(Path, objectsInterface+".InterfacesAdded", o.path, o.values)
			emit(Path, o.word()+"New", text(o.id()), o.path)
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

// id is that of what o stands for.
func (o *object) id() string { return o.view.ID + o.session.ID + o.job.ID }

// word begins the signals that o comes and goes.
func (o *object) word() string {
	return ManagerInterface + strings.TrimPrefix(o.contracts[0].name, Name)
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
