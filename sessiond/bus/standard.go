package bus

import (
	"context"
	"encoding/xml"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
)

// standard are the interfaces that every object has. They are filled in by
// init, because introspection tells of them too.
var standard []*contract

func init() {
	standard = []*contract{
		{name: introspectInterface, methods: []method{
			{name: "Introspect", out: []argument{{"xml_data", "s"}}, run: introspection},
		}},
		{name: propertiesInterface, methods: []method{
			{name: "Get", in: []argument{{"interface_name", "s"}, {"property_name", "s"}}, out: []argument{{"value", "v"}}, run: get},
			{name: "GetAll", in: []argument{{"interface_name", "s"}}, out: []argument{{"properties", "a{sv}"}}, run: getAll},
			{name: "Set", in: []argument{{"interface_name", "s"}, {"property_name", "s"}, {"value", "v"}}, run: set},
		}, signals: []signal{{"PropertiesChanged", []argument{
			{"interface_name", "s"}, {"changed_properties", "a{sv}"}, {"invalidated_properties", "as"}}}}},
	}
}

func (o *object) has(name string) bool {
	for _, k := range append(o.contracts, standard...) {
		if k.name == name {
			return true
		}
	}
	return false
}

func noInterface(name string) error {
	return &dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownInterface", Body: []any{"there is no interface " + text(name) + " here"}}
}

func noProperty(name string) error {
	return &dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownProperty", Body: []any{"there is no property " + text(name) + " here"}}
}

func get(_ context.Context, c *call) ([]any, error) {
	name, which := c.text(0), c.text(1)
	if name == "" { // the specification lets callers leave it out
		for _, values := range c.object.values {
			if v, ok := values[which]; ok {
				return []any{v}, nil
			}
		}
		return nil, noProperty(which)
	}
	if !c.object.has(name) {
		return nil, noInterface(name)
	}
	v, ok := c.object.values[name][which]
	if !ok {
		return nil, noProperty(which)
	}
	return []any{v}, nil
}

func getAll(_ context.Context, c *call) ([]any, error) {
	name := c.text(0)
	all := map[string]dbus.Variant{}
	if name != "" && !c.object.has(name) {
		return nil, noInterface(name)
	}
	for in, values := range c.object.values {
		if name == "" || in == name {
			for k, v := range values {
				all[k] = v
			}
		}
	}
	return []any{all}, nil
}

func set(ctx context.Context, c *call) ([]any, error) {
	if _, err := get(ctx, c); err != nil {
		return nil, err
	}
	return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.PropertyReadOnly", Body: []any{"no property of org.ninefold can be set"}}
}

func introspection(_ context.Context, c *call) ([]any, error) {
	b, err := xml.MarshalIndent(describe(c.object), "", " ")
	if err != nil {
		return nil, err
	}
	return []any{introspect.IntrospectDeclarationString[1:] + string(b)}, nil
}

// describe puts the contracts of an object into introspection data.
func describe(o *object) introspect.Node {
	n := introspect.Node{Interfaces: []introspect.Interface{introspect.PeerData}}
	for _, k := range append(o.contracts, standard...) {
		in := introspect.Interface{Name: k.name}
		for _, m := range k.methods {
			d := introspect.Method{Name: m.name}
			for _, a := range m.in {
				d.Args = append(d.Args, introspect.Arg{Name: a.name, Type: a.sig, Direction: "in"})
			}
			for _, a := range m.out {
				d.Args = append(d.Args, introspect.Arg{Name: a.name, Type: a.sig, Direction: "out"})
			}
			in.Methods = append(in.Methods, d)
		}
		for _, s := range k.signals {
			d := introspect.Signal{Name: s.name}
			for _, a := range s.args {
				d.Args = append(d.Args, introspect.Arg{Name: a.name, Type: a.sig})
			}
			in.Signals = append(in.Signals, d)
		}
		for _, p := range k.properties {
			in.Properties = append(in.Properties, introspect.Property{Name: p.name, Type: p.sig, Access: "read", Annotations: []introspect.Annotation{
				{Name: "org.freedesktop.DBus.Property.EmitsChangedSignal", Value: p.changes}}})
		}
		n.Interfaces = append(n.Interfaces, in)
	}
	for _, name := range o.nodes {
		n.Children = append(n.Children, introspect.Node{Name: name})
	}
	return n
}
