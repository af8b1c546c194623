package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/api"
	"ninefold/sessiond/broker"
	"ninefold/sessiond/broker/hostbus"
	"ninefold/sessiond/policy"
	"ninefold/sessiond/views"
)

// serveHost serves the broker until ctx ends. Logins do not need it: when it
// fails, the daemon goes on.
func (o options) serveHost(ctx context.Context, d *parts, listeners []*net.UnixListener, wg *sync.WaitGroup) {
	if len(listeners) == 0 {
		return
	}
	dir, err := d.manager().InitDir()
	if err != nil {
		d.log.Error("no commands are run on the host", "error", err)
		return
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		d.log.Error("no commands are run on the host", "error", os.NewSyscallError("getrlimit", err))
		return
	}
	bus, polkit := hostbus.New(hostbus.DefaultSocket), hostbus.New(hostbus.DefaultSocket)
	b := broker.New(broker.Options{
		Where: d.views, Bus: bus, Polkit: polkit, Log: d.log, Host: o.hostNamespace, Descriptors: files.Cur,
		Policy: func() *policy.Set { return d.config.State().Policy },
		Enter:  filepath.Join(dir, "ninefold-ctl"),
		View:   func(uid uint32, id string) (string, error) { return viewOf(d.views, uid, id) },
	})
	for _, l := range listeners {
		wg.Go(func() {
			if err := b.Serve(ctx, l); err != nil {
				d.log.Error("no more commands are run on the host", "error", err)
			}
		})
	}
	context.AfterFunc(ctx, func() { bus.Close(); polkit.Close() })
}

// viewOf finds a view of uid by its id, or by that of a session in it. What
// belongs to others is not there.
func viewOf(vs *views.Views, uid uint32, id string) (string, error) {
	for _, v := range vs.List() {
		if v.UID() != uid {
			continue
		}
		if v.ID() == id {
			return id, nil
		}
		for _, s := range v.Sessions() {
			if s.ID == id {
				return v.ID(), nil
			}
		}
	}
	return "", fmt.Errorf("you have no view or session %q: %w", id, api.ErrNotFound)
}
