// Package guests gives sessions a user that exists for them alone, and makes
// sure that nothing of it is left: an id out of systemd's dynamic range under
// systemd's own locks, a record by which name services know it, a probe that tries
// inside the session what must fail before anybody works in it, and a search
// for what the guest left behind. An id is given out again only when that
// search found nothing.
package guests

import (
	"errors"
	"time"

	"ninefold/internal/record"
	"ninefold/sessiond/journal"
)

// The errors a caller tells apart.
var (
	// ErrFull says that no id is free.
	ErrFull = errors.New("no id for a guest is free")
	// ErrBroken says that a session let through what it must deny.
	ErrBroken = errors.New("the session would not have held a guest")
	// ErrRemains says that something of a guest is left.
	ErrRemains = errors.New("something of the guest is left")
	// ErrMany says that a user has as many guests in as one user may.
	ErrMany = errors.New("no more sessions as a guest at once")
)

// The state of a guest.
type State string

// The states, in their order.
const (
	Waiting State = "waiting" // a session is prepared, and nobody is in it
	Live    State = "live"    // a session runs, or its keeper was killed
	Ended   State = "ended"   // its processes are gone, and file systems are still to be searched
	Clean   State = "clean"   // nothing of it is left
	Remains State = "remains" // something is, and the id stays taken
)

// Report is what is known of one guest; it is kept when the guest is gone.
type Report struct {
	Name    string `json:"name"`
	UID     uint32 `json:"uid"`
	Profile string `json:"profile"`
	// Service and Terminal are those of a guest who logged in.
	Service  string `json:"service,omitempty"`
	Terminal string `json:"terminal,omitempty"`
	// For is the user who had the session begun; 0 is root, or a login.
	For uint32 `json:"for,omitempty"`
	// Keeper is the process that has the session, as long as it is live.
	Keeper journal.Process `json:"keeper,omitzero"`
	State  State           `json:"state"`
	Begun  time.Time       `json:"begun"`
	Ended  time.Time       `json:"ended,omitzero"`
	// Tries are what was tried before the guest came in, by ninefold-probe.
	Tries []Try `json:"tries"`
	// Writable are the session's mounts that a guest could write to, as its own
	// mount table had them: each lies in memory, or the session is refused, but
	// for what is Kept.
	Writable []string `json:"writable"`
	// Kept is the home that the profile keeps, with the number of its device.
	Kept string `json:"kept,omitempty"`
	// Lent is what of the host's was shown in the session after that was tried.
	Lent []string `json:"lent,omitempty"`
	// Left is what was found of the guest afterwards.
	Left []string `json:"left,omitempty"`
	// Searched says when file systems had been searched.
	Searched time.Time `json:"searched,omitzero"`
}

// Try is one thing that the probe tried.
type Try struct {
	Name string `json:"name"`
	Held bool   `json:"held"` // it was denied, as it must be
	How  string `json:"how"`  // what denied it, or what got through
}

// maxReport bounds a record: some hundred tries and mounts.
const maxReport = 256 << 10

var kind = record.Kind{Magic: "9fguest\x00", Version: 3, Oldest: 1, Max: maxReport}

// RecordVersion is the oldest that has what is in r.
func (r Report) RecordVersion() uint32 {
	if r.Kept != "" {
		return 3
	}
	if r.For != 0 || len(r.Lent) > 0 {
		return 2
	}
	return 1
}
