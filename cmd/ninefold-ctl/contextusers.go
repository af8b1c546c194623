package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/host"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/manager"

	livectx "ninefold/sessiond/contexts"
)

// forFlag is written by sessiond alone, before every word of the user who asks.
const forFlag = "for"

// asked is a user for whom sessiond has a command about contexts run; 0 is nobody.
type asked uint32

func (u *asked) Type() string   { return "UID" }
func (u *asked) String() string { return strconv.FormatUint(uint64(*u), 10) }

// Set takes a user once: a second one would be a word of the first's.
func (u *asked) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 || *u != 0 {
		return errors.New("only sessiond says for whom it asks")
	}
	*u = asked(n)
	return nil
}

// whose adds the flags that say whose contexts a command is about.
func (a *app) whose(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&a.of, "of", "", "be about the contexts of `USER`, for administrators")
	f.Var(&a.askedBy, forFlag, "used by sessiond itself: be about the contexts of this user, who asks")
	_ = f.MarkHidden(forFlag) // fails for a flag that is not there alone
	for _, sub := range c.Commands() {
		run := sub.RunE
		sub.RunE = func(c *cobra.Command, args []string) error {
			if os.Geteuid() == 0 || a.config != "" || a.state != "" {
				return run(c, args)
			}
			return a.askForContext()
		}
	}
}

// contexts opens the contexts of whoever the command is about.
func (a *app) contexts(ctx context.Context) (*livectx.Contexts, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("--config and --state are for contexts of root's: %w", manager.ErrNotRoot)
	}
	if a.askedBy != 0 && (a.of != "" || a.config != "" || a.state != "") {
		return nil, exit.Usagef("leave --of, --config and --state out", "whose contexts these are is not for their user to say")
	}
	m := manager.Open(manager.Options{Config: a.config, State: a.state})
	if a.askedBy != 0 {
		a.owner = uint32(a.askedBy)
		c, err := m.UserContexts(a.owner)
		if err != nil {
			return nil, err
		}
		a.most = c.UserBytes()
		return livectx.OfUser(m, c.OfEach()), nil
	}
	if a.of != "" {
		u, err := userOf(ctx, a.of)
		if err != nil {
			return nil, err
		}
		a.owner = u
	}
	return livectx.Of(m), nil
}

// userOf is the uid of a user by name, or a uid itself: that of an account that is
// gone.
func userOf(ctx context.Context, name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := identity.Host{}.ByName(ctx, name)
	return u.UID, err
}

// askForContext has sessiond run this command for the user who typed it.
func (a *app) askForContext() error {
	if len(a.words) < 2 || a.words[0] != "context" {
		return exit.Usagef("sessionctl context COMMAND, or hc COMMAND", "context: an option stands before it")
	}
	status, err := host.Run(host.Stdio(a.Stdio), host.Options{Context: true, Command: a.words[1:]})
	if err == nil {
		a.status = &status
	}
	return err
}

// askContextNames has sessiond list the contexts of the user who types, without
// asking anybody.
func (a *app) askContextNames() (names []string) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		w.Close()
		return nil
	}
	defer null.Close()
	listed := make(chan []contextLine, 1)
	go func() {
		var lines []contextLine
		_ = json.NewDecoder(r).Decode(&lines) // none are offered then
		_, _ = io.Copy(io.Discard, r)
		listed <- lines
	}()
	_, _ = host.Run(host.Stdio{In: null, Out: w, Err: null}, host.Options{Context: true, NoAsk: true, Command: []string{"list", "--json"}})
	w.Close()
	for _, l := range <-listed {
		names = append(names, l.Name)
	}
	return names
}
