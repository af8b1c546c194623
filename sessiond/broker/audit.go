package broker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"

	"ninefold/sessiond/broker/wire"
)

// The results of a decision, in NINEFOLD_RESULT.
const (
	resultAllowed = "allowed"
	resultAsked   = "authorised"
	resultHeld    = "authorised before"
	resultDenied  = "denied"
	resultRefused = "not authorised"
	resultFailed  = "not started"
)

// record writes one entry for a decision: who, from where, by which rule, what,
// and what came of it. Its arguments are what the rule lets be told.
func (b *Broker) record(who *caller, c *command, unit, result string, why error) {
	priority := journal.PriInfo
	if result == resultDenied || result == resultRefused || result == resultFailed {
		priority = journal.PriNotice
	}
	rule, program, args := "", "", ""
	if c.decision.Rule != nil {
		rule = c.decision.Rule.Place()
	}
	if c.program != nil {
		program = c.program.Path
		args = words(c.decision.Redact.Apply(c.argv[1:]))
	}
	text := fmt.Sprintf("%s: %s, for %s", result, c.shown(), who)
	if c.target.Name != "" {
		text += ", as " + c.target.Name
	}
	if rule != "" {
		text += " (" + rule + ")"
	}
	if why != nil {
		text += ": " + plain(why.Error())
	}
	fields := map[string]string{
		"MESSAGE_ID":            wire.MessageID,
		"SYSLOG_IDENTIFIER":     "ninefold-host",
		"NINEFOLD_USER":         who.user.Name,
		"NINEFOLD_UID":          strconv.FormatUint(uint64(who.peer.UID), 10),
		"NINEFOLD_PID":          strconv.Itoa(who.peer.PID),
		"NINEFOLD_SESSION":      who.session,
		"NINEFOLD_VIEW":         who.place.View,
		"NINEFOLD_PROFILE":      who.place.Profile,
		"NINEFOLD_RULE":         rule,
		"NINEFOLD_PROGRAM":      program,
		"NINEFOLD_ARGS":         args,
		"NINEFOLD_TARGET":       c.target.Name,
		"NINEFOLD_RESULT":       result,
		"OBJECT_SYSTEMD_UNIT":   unit,
		"NINEFOLD_POLICY_WHY":   c.decision.Why,
		"NINEFOLD_REQUEST_VIEW": c.in,
	}
	for k, v := range fields {
		if v == "" {
			delete(fields, k)
		}
	}
	if err := journal.Send(plain(text), priority, fields); err != nil {
		// Where there is no journal the daemon's own log is what there is.
		b.Log.Info("host command", "result", result, "command", c.shown(), "who", who.String(), "rule", rule, "unit", unit)
	}
}

// words are arguments as a record holds them, bounded.
func words(args []string) string {
	const most = 16 << 10
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if b.Len() > most {
			fmt.Fprintf(&b, "... (%d more)", len(args)-i)
			break
		}
		w := word(a)
		if len(w) > most {
			w = w[:most] + "..."
		}
		b.WriteString(w)
	}
	return b.String()
}
