package main

import (
	"ninefold/cmd/internal/session"
	"ninefold/sessiond/manager"
)

// manager opens the manager that the global flags name.
func (a *app) manager() *manager.Manager { return manager.Open(session.Options(a.config, a.state)) }
