package bus

import (
	"context"
	"math"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
	"ninefold/sessiond/process"
)

// maxPath is PATH_MAX of the kernel.
const maxPath = 4096

func (c *call) binder() (api.Binder, error) {
	if c.bus.Binder == nil {
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.NotSupported", Body: []any{"nothing is bound into live views here"}}
	}
	return c.bus.Binder, nil
}

// mayMount lets the view's user and root in, others if polkit says so.
func (c *call) mayMount(ctx context.Context, target string) error {
	v := c.object.view
	return c.permit(ctx, v.UID, actionMount, map[string]string{"view": v.ID, "user": v.User, "target": target})
}

// bind looks the source up where the caller is: in the view, or on the host. It
// is opened as the view's user, as root for root alone.
func bind(ctx context.Context, c *call) ([]any, error) {
	b, err := c.binder()
	if err != nil {
		return nil, err
	}
	n := api.NewBind{Source: c.text(0), Target: c.text(1), ReadOnly: c.args[2].(bool)}
	if len(n.Source) > maxPath || len(n.Target) > maxPath {
		return nil, invalid("a name is longer than %d bytes", maxPath)
	}
	if err := c.mayMount(ctx, n.Target); err != nil {
		return nil, err
	}
	who, err := c.bus.identify(ctx, c.sender)
	if err != nil {
		return nil, err
	}
	ns, err := process.MountNS(who.pid)
	n.AsRoot, n.OnHost = who.root(), err != nil || ns != c.object.view.MountNS
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	return nil, b.Bind(ctx, c.object.view.ID, n)
}

// memory is the source of a mount that is none: an empty file system in memory.
const memory = "tmpfs"

// mount makes an empty file system for the view's user and root, and takes a
// file from root alone: the kernel believes what is in it.
func mount(ctx context.Context, c *call) ([]any, error) {
	b, err := c.binder()
	if err != nil {
		return nil, err
	}
	n := api.NewMount{Source: c.text(0), Target: c.text(1), Type: c.text(2), ReadOnly: c.args[3].(bool)}
	if len(n.Source) > maxPath || len(n.Target) > maxPath || len(n.Type) > maxName {
		return nil, invalid("a name is longer than %d bytes", maxPath)
	}
	size := c.args[4].(uint64)
	if size > math.MaxInt64 {
		return nil, invalid("a size of %d bytes", size)
	}
	n.Size = int64(size)
	if err := c.mayMount(ctx, n.Target); err != nil {
		return nil, err
	}
	who, err := c.bus.identify(ctx, c.sender)
	if err != nil {
		return nil, err
	}
	n.AsRoot = who.root()
	if n.Source == memory {
		n.Source = ""
	} else if err := c.own(ctx, 0, "mounting what is in a file"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	return nil, b.Mount(ctx, c.object.view.ID, n)
}

func unmount(ctx context.Context, c *call) ([]any, error) {
	b, err := c.binder()
	if err != nil {
		return nil, err
	}
	if err := c.mayMount(ctx, c.text(0)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	return nil, b.Unmount(ctx, c.object.view.ID, c.text(0))
}

func listBinds(ctx context.Context, c *call) ([]any, error) {
	b, err := c.binder()
	if err != nil {
		return nil, err
	}
	v := c.object.view
	if err := c.own(ctx, v.UID, "what is bound into a view"); err != nil {
		return nil, err
	}
	type row struct {
		Target   string
		ReadOnly bool
	}
	all, err := b.List(ctx, v.ID)
	rows := []row{}
	for _, x := range all {
		rows = append(rows, row{text(x.Target), x.ReadOnly})
	}
	return []any{rows}, err
}
