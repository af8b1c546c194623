package bus

import (
	"context"
	"strings"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
)

// at returns the object at path, nil if there is none.
func (c *connected) at(ctx context.Context, path dbus.ObjectPath) (*object, error) {
	o := &object{path: path}
	switch path {
	case "/":
		o.nodes = []string{"org"}
		return o, nil
	case "/org":
		o.nodes = []string{"ninefold"}
		return o, nil
	case Path:
		st, err := c.Service.Status(ctx)
		if err != nil {
			return nil, err
		}
		o.nodes = []string{"session", "view"}
		if c.Jobs != nil {
			o.nodes = []string{"job", "session", "view"}
		}
		o.contracts = []*contract{&managerContract, &objectsContract}
		o.values = map[string]map[string]dbus.Variant{ManagerInterface: managerValues(st)}
		return o, nil
	case ViewsPath:
		all, err := c.Service.Views(ctx)
		for _, v := range all {
			o.nodes = append(o.nodes, label(v.ID))
		}
		return o, err
	case SessionsPath:
		all, err := c.Service.Sessions(ctx)
		for _, s := range all {
			o.nodes = append(o.nodes, label(s.ID))
		}
		return o, err
	}
	if path == JobsPath && c.Jobs != nil {
		all, err := c.Jobs.Jobs(ctx)
		for _, x := range all {
			o.nodes = append(o.nodes, x.ID)
		}
		return o, err
	}
	if id, ok := strings.CutPrefix(string(path), string(JobsPath)+"/"); ok && c.Jobs != nil {
		x, err := c.Jobs.Job(ctx, id)
		if err != nil {
			return nil, err
		}
		return jobObject(x), nil
	}
	if id, ok := child(ViewsPath, path); ok {
		v, err := c.Service.View(ctx, id)
		if err != nil {
			return nil, err
		}
		return viewObject(v), nil
	}
	if id, ok := child(SessionsPath, path); ok {
		s, err := c.Service.Session(ctx, id)
		if err != nil {
			return nil, err
		}
		return sessionObject(s), nil
	}
	return nil, nil
}

func viewObject(v api.View) *object {
	return &object{path: ViewPath(v.ID), view: v, contracts: []*contract{&viewContract},
		values: map[string]map[string]dbus.Variant{ViewInterface: viewValues(v)}}
}

func sessionObject(s api.Session) *object {
	return &object{path: SessionPath(s.ID), session: s, contracts: []*contract{&sessionContract},
		values: map[string]map[string]dbus.Variant{SessionInterface: sessionValues(s)}}
}

var objectsContract contract

func init() {
	objectsContract = contract{name: objectsInterface,
		methods: []method{{name: "GetManagedObjects", out: []argument{{"objects", "a{oa{sa{sv}}}"}}, run: managedObjects}},
		signals: []signal{
			{"InterfacesAdded", []argument{{"object_path", "o"}, {"interfaces_and_properties", "a{sa{sv}}"}}},
			{"InterfacesRemoved", []argument{{"object_path", "o"}, {"interfaces", "as"}}},
		}}
}

func managedObjects(ctx context.Context, c *call) ([]any, error) {
	all, err := c.bus.look(ctx)
	if err != nil {
		return nil, err
	}
	out := map[dbus.ObjectPath]map[string]map[string]dbus.Variant{}
	for _, o := range all.objects() {
		out[o.path] = o.values
	}
	return []any{out}, nil
}
