package main

import (
	"errors"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/session"
	"ninefold/roots/boot"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
	"ninefold/sessiond/manager"
)

// rules are those of sessions, and before them what is said of live views.
var rules = append([]exit.Rule{
	{Is: remote.ErrNoDaemon, Code: exit.NoDaemon, Hint: "start it with systemctl start sessiond, and see sessionctl logs"},
	{Is: remote.ErrNoAnswer, Code: exit.NoDaemon, Hint: "see systemctl status sessiond, and sessionctl logs"},
	{Is: remote.ErrDenied, Code: exit.NotPermitted, Hint: "run it as root, or through sudo"},
	{Is: api.ErrPolicy, Code: exit.NotPermitted},
	{Is: api.ErrInvalid, Code: exit.Usage},
	{Is: api.ErrBusy, Code: exit.Busy, Hint: "sessionctl job list shows what is under way"},
	{Is: boot.ErrNothing, Code: exit.NotFound, Hint: "sessionctl boot IMAGE has it start on one"},
	{Is: boot.ErrBusy, Code: exit.Busy},
	{Is: errors.ErrUnsupported, Code: exit.NotSupported},
	{Is: manager.ErrViewGone, Code: exit.NotFound},
	{Is: api.ErrNotFound, Code: exit.NotFound, Hint: "sessionctl list shows those that there are"},
}, session.Rules...)

// manager opens the manager that the global flags name.
func (a *app) manager() *manager.Manager { return manager.Open(session.Options(a.config, a.state)) }
