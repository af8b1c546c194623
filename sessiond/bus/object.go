package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
)

// connected is a server while it is on the bus.
type connected struct {
	*Server
	ctx  context.Context
	conn atomic.Pointer[dbus.Conn]
}

// argument, method, property, signal and contract describe an interface. The
// introspection data, the check of what a caller sends and the dispatch all come
// from these, so that none can say something else than the others.
type argument struct{ name, sig string }

type method struct {
	name    string
	in, out []argument
	run     func(ctx context.Context, c *call) ([]any, error)
}

type property struct {
	name, sig string
	// changes is the annotation EmitsChangedSignal: "true", "const", "false".
	changes string
}

type signal struct {
	name string
	args []argument
}

type contract struct {
	name       string
	methods    []method
	properties []property
	signals    []signal
}

// object is what is at a path at the moment of a call.
type object struct {
	path      dbus.ObjectPath
	contracts []*contract
	// values are the properties by interface.
	values map[string]map[string]dbus.Variant
	// view, session or job is what the object stands for.
	view    api.View
	session api.Session
	job     api.Job
	nodes   []string // of introspection
}

// call is one call of a method.
type call struct {
	bus    *connected
	object *object
	sender string
	flags  dbus.Flags
	args   []any
}

func (c *call) text(i int) string { return c.args[i].(string) }

// handler is how the library finds what a message is for.
type handler struct{ c *connected }

// LookupObject finds the object at path.
func (h *handler) LookupObject(path dbus.ObjectPath) (dbus.ServerObject, bool) {
	ctx, cancel := context.WithTimeout(h.c.ctx, callTimeout)
	defer cancel()
	o, err := h.c.at(ctx, path)
	if err != nil || o == nil {
		return nil, false
	}
	return &served{h.c, o}, true
}

type served struct {
	c *connected
	o *object
}

// LookupInterface finds an interface of the object. A message need not name
// one; then every interface is looked through.
func (s *served) LookupInterface(name string) (dbus.Interface, bool) {
	var in []*contract
	for _, k := range append(s.o.contracts, standard...) {
		if name == "" || k.name == name {
			in = append(in, k)
		}
	}
	return &callable{s, in}, len(in) > 0
}

type callable struct {
	*served
	in []*contract
}

// LookupMethod finds a method.
func (k *callable) LookupMethod(name string) (dbus.Method, bool) {
	for _, in := range k.in {
		for i := range in.methods {
			if in.methods[i].name == name {
				return &bound{k.c, k.o, &in.methods[i]}, true
			}
		}
	}
	return nil, false
}

// bound is a method of an object. The library's own decoder would convert what
// nearly fits; this one takes what the signature says.
type bound struct {
	c *connected
	o *object
	m *method
}

func (b *bound) NumArguments() int     { return len(b.m.in) }
func (b *bound) NumReturns() int       { return len(b.m.out) }
func (b *bound) ArgumentValue(int) any { return nil }
func (b *bound) ReturnValue(int) any   { return nil }

// DecodeArguments wraps a message whose signature is the method's.
func (b *bound) DecodeArguments(_ *dbus.Conn, sender string, m *dbus.Message, args []any) ([]any, error) {
	sig, _ := m.Headers[dbus.FieldSignature].Value().(dbus.Signature)
	if want := signatureOf(b.m.in); sig.String() != want || len(args) != len(b.m.in) {
		return nil, invalid("%s takes (%s), not (%s)", b.m.name, want, sig)
	}
	return []any{&call{bus: b.c, object: b.o, sender: sender, flags: m.Flags, args: args}}, nil
}

// Call runs the method. What goes wrong inside ends the call, not the daemon.
func (b *bound) Call(args ...any) (out []any, err error) {
	c := args[0].(*call)
	if !b.c.gate.enter(c.sender) {
		return nil, busy("too many calls are under way")
	}
	defer b.c.gate.leave(c.sender)
	defer func() {
		if p := recover(); p != nil {
			b.c.Log.Error("a call failed", "method", b.m.name, "panic", p, "stack", string(debug.Stack()))
			err = dbus.MakeFailedError(fmt.Errorf("%s failed; the log of sessiond says more", b.m.name))
		}
	}()
	out, err = b.m.run(b.c.ctx, c)
	if err != nil {
		return nil, failure(err)
	}
	return out, nil
}

// failure gives an error its name on the bus.
func failure(err error) error {
	var named *dbus.Error
	name := "org.freedesktop.DBus.Error.Failed"
	switch {
	case errors.As(err, &named):
		return named
	case errors.Is(err, api.ErrNotFound):
		name = Name + ".Error.NotFound"
	case errors.Is(err, api.ErrPolicy):
		name = Name + ".Error.Policy"
	case errors.Is(err, api.ErrBusy):
		name = Name + ".Error.Busy"
	case errors.Is(err, api.ErrInvalid):
		name = "org.freedesktop.DBus.Error.InvalidArgs"
	case errors.Is(err, context.DeadlineExceeded):
		name = "org.freedesktop.DBus.Error.Timeout"
	}
	return &dbus.Error{Name: name, Body: []any{text(err.Error())}}
}

func invalid(format string, args ...any) error {
	return &dbus.Error{Name: "org.freedesktop.DBus.Error.InvalidArgs", Body: []any{text(fmt.Sprintf(format, args...))}}
}

func signatureOf(args []argument) string {
	s := ""
	for _, a := range args {
		s += a.sig
	}
	return s
}
