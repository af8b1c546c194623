package bus

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
)

var viewContract, sessionContract contract

func init() {
	viewContract = contract{name: ViewInterface,
		methods: []method{
			{name: "End", run: func(ctx context.Context, c *call) ([]any, error) { return nil, c.endView(ctx, c.object.view) }},
			{name: "GetNamespaceFile", out: []argument{{"text", "s"}}, run: namespaceFile},
			{name: "Bind", in: []argument{{"source", "s"}, {"target", "s"}, {"read_only", "b"}}, run: bind},
			{name: "Mount", in: []argument{{"source", "s"}, {"target", "s"}, {"type", "s"}, {"read_only", "b"}, {"size", "t"}}, run: mount},
			{name: "Unmount", in: []argument{{"target", "s"}}, run: unmount},
			{name: "ListBinds", out: []argument{{"binds", "a(sb)"}}, run: listBinds},
			{name: "GetChanges", run: getChanges,
				out: []argument{{"files", "t"}, {"bytes", "t"}, {"more", "b"}, {"kept", "b"}, {"parks", "b"}, {"stale", "as"}}},
			{name: "Restore", in: []argument{{"parked_id", "s"}, {"overwrite", "b"}}, run: restore,
				out: []argument{{"files", "t"}, {"written", "t"}, {"others", "t"}, {"failed", "t"}, {"why", "s"}}},
		},
		properties: []property{
			{"Id", "s", "const"}, {"User", "u", "const"}, {"Name", "s", "const"}, {"Profile", "s", "const"}, {"Class", "s", "const"},
			{"Layers", "as", "const"}, {"Isolated", "as", "const"}, {"Holder", "u", "const"}, {"Scope", "s", "const"},
			{"MountNamespace", "t", "const"}, {"Timestamp", "t", "const"}, {"Notes", "as", "const"},
			{"Sessions", "as", "true"}, {"HasManager", "b", "false"},
		},
	}
	sessionContract = contract{name: SessionInterface,
		methods: []method{
			{name: "End", run: func(ctx context.Context, c *call) ([]any, error) { return nil, c.endSession(ctx, c.object.session) }},
		},
		properties: []property{
			{"Id", "s", "const"}, {"View", "s", "const"}, {"User", "u", "const"}, {"Name", "s", "const"}, {"Profile", "s", "const"},
			{"Service", "s", "const"}, {"TTY", "s", "const"}, {"RemoteHost", "s", "const"}, {"Leader", "u", "const"}, {"Timestamp", "t", "const"},
		},
	}
}

// microseconds is a time as logind has it.
func microseconds(t time.Time) uint64 {
	if t.Before(time.Unix(0, 0)) {
		return 0
	}
	return uint64(t.UnixMicro())
}

// values makes variants of what a property may be.
func values(in map[string]any) map[string]dbus.Variant {
	out := make(map[string]dbus.Variant, len(in))
	for k, v := range in {
		switch v := v.(type) {
		case string:
			out[k] = dbus.MakeVariant(text(v))
		case []string:
			out[k] = dbus.MakeVariant(texts(v))
		default:
			out[k] = dbus.MakeVariant(v)
		}
	}
	return out
}

func viewValues(v api.View) map[string]dbus.Variant {
	return values(map[string]any{
		"Id": v.ID, "User": v.UID, "Name": v.User, "Profile": v.Profile, "Class": v.Class, "Layers": v.Layers, "Isolated": v.Isolated,
		"Holder": uint32(max(v.Holder, 0)), "Scope": v.Scope, "MountNamespace": v.MountNS, "Timestamp": microseconds(v.Created),
		"Notes": v.Notes, "Sessions": v.Sessions, "HasManager": v.Manager,
	})
}

func sessionValues(s api.Session) map[string]dbus.Variant {
	return values(map[string]any{
		"Id": s.ID, "View": s.View, "User": s.UID, "Name": s.User, "Profile": s.Profile, "Service": s.Service, "TTY": s.TTY,
		"RemoteHost": s.Rhost, "Leader": uint32(max(s.Leader, 0)), "Timestamp": microseconds(s.Since),
	})
}

// namespaceFile hands out the plan: it names files of the person's, and
// variables of the profile's.
func namespaceFile(ctx context.Context, c *call) ([]any, error) {
	v := c.object.view
	if err := c.own(ctx, v.UID, "the namespace file of a view"); err != nil {
		return nil, err
	}
	return []any{text(v.Plan)}, nil
}

func (c *call) endView(ctx context.Context, v api.View) error {
	what := map[string]string{"view": v.ID, "user": v.User, "profile": v.Profile}
	if err := c.permit(ctx, v.UID, actionEnd, what); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	// An id of a view is never used twice.
	return c.bus.Service.EndView(ctx, v.ID)
}

func (c *call) endSession(ctx context.Context, s api.Session) error {
	what := map[string]string{"session": s.ID, "user": s.User, "service": s.Service}
	if err := c.permit(ctx, s.UID, actionEnd, what); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	// An id that is made of a pid may be somebody else's by now.
	now, err := c.bus.Service.Session(ctx, s.ID)
	if err != nil {
		return err
	}
	if now.UID != s.UID || now.Leader != s.Leader || !now.Since.Equal(s.Since) {
		return api.ErrNotFound
	}
	return c.bus.Service.EndSession(ctx, s.ID)
}
