package broker

import (
	"fmt"
	"strings"

	"ninefold/sessiond/policy"
)

// explain says what would happen, and starts nothing.
func (c *command) explain(who *caller) string {
	var b strings.Builder
	say := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, plain(fmt.Sprintf(format, args...)))
	}
	say("asks", "%s", who)
	if r := c.decision.Rule; r != nil {
		say("rule", "%s: %s", r.Place(), policy.Print(*r))
	} else {
		say("rule", "%s", c.decision.Why)
	}
	switch c.decision.Verdict {
	case policy.Allow:
		say("verdict", "allow")
	case policy.Ask:
		if c.decision.Remember > 0 {
			say("verdict", "ask; an answer holds for %s", c.decision.Remember)
		} else {
			say("verdict", "ask each time")
		}
	default:
		say("verdict", "deny")
		return b.String()
	}
	say("program", "%s", c.program.Path)
	if c.program.File != c.program.Path {
		say("", "which is %s", c.program.File)
	}
	say("as", "%s", c.target.Name)
	dir := c.startDir()
	if c.place != nil {
		dir = c.request.Dir
	}
	say("in", "%s", strings.TrimPrefix(dir, "-"))
	for _, n := range c.notices {
		say("notice", "%s", n)
	}
	say("unit", "%s", newUnit(who.peer.UID, c.request.Detach))
	for _, p := range c.properties(who, nil) {
		if strings.HasPrefix(p.Name, "Standard") {
			continue // they are descriptors
		}
		if v := p.Value.Value(); p.Name != "ExecStartEx" {
			say("", "%s=%v", p.Name, v)
			continue
		}
		say("", "ExecStart=%s", c.shown())
	}
	return b.String()
}
