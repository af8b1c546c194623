// Package doctor says what this machine can do: which features of the kernel
// and which programs are there, what takes their place where they are not, and
// whether sessions can be made at all. It changes nothing.
package doctor

import (
	"context"
	"os"
)

// State is how a finding turned out.
type State string

// The states. Only Missing keeps sessions from being made.
const (
	OK       State = "ok"
	Fallback State = "fallback" // something takes its place
	Missing  State = "missing"  // nothing does
	Unknown  State = "unknown"  // it could not be tried, for want of root
)

// Finding is one thing that was looked at.
type Finding struct {
	Area  string `json:"area"` // "kernel", "programs", "images", "session", "login"
	Name  string `json:"name"`
	State State  `json:"state"`
	// Detail is what was found.
	Detail string `json:"detail,omitempty"`
	// Then is what follows when State is not OK: what falls back, what cannot
	// be done, what to do about it.
	Then string `json:"then,omitempty"`
	// For names what needs it when that is not sessions as such: "building
	// images". A Missing one of these does not keep sessions from being made.
	For string `json:"for,omitempty"`
}

// Options say where to look.
type Options struct {
	// Init is the file name of the sessions' first process.
	Init string
	// Drivers reports on the ways to mount images; nil leaves them out.
	Drivers func() []Finding
	// Try makes a session and takes it down again; nil leaves it out. It is
	// called as root only.
	Try func(context.Context) (detail string, err error)
	// Login looks at what logins need; nil leaves it out.
	Login *Login
}

// Report is everything that was found.
type Report struct {
	// Sessions says whether sessions can be made here.
	Sessions bool `json:"sessions"`
	// Logins says whether logins get what the configuration says, as far as that
	// shows: nothing that they need is missing.
	Logins   bool      `json:"logins"`
	Findings []Finding `json:"findings"`
}

// Examine looks at the machine. It takes some milliseconds.
func Examine(ctx context.Context, o Options) Report {
	var r Report
	root := os.Geteuid() == 0
	r.Findings = append(r.Findings, kernelFindings(root)...)
	if o.Drivers != nil {
		r.Findings = append(r.Findings, o.Drivers()...)
	}
	r.Findings = append(r.Findings, programs(o.Init)...)
	r.Findings = append(r.Findings, try(ctx, root, o.Try))
	if o.Login != nil {
		r.Findings = append(r.Findings, o.Login.findings(ctx)...)
	}
	r.Sessions, r.Logins = true, true
	for _, f := range r.Findings {
		if f.State == Missing && f.For == "" {
			r.Sessions = false
		}
		if f.State == Missing && f.For == forLogins && f.Name != notInstalled {
			r.Logins = false
		}
	}
	return r
}

// try makes a real session: that proves more than any list of features.
func try(ctx context.Context, root bool, attempt func(context.Context) (string, error)) Finding {
	f := Finding{Area: "session", Name: "a session on the host"}
	switch {
	case !root:
		f.State, f.Detail, f.Then = Unknown, "not tried", "run doctor as root to try it"
	case attempt == nil:
		f.State, f.Detail = Unknown, "not tried"
	default:
		detail, err := attempt(ctx)
		if err != nil {
			f.State, f.Detail, f.Then = Missing, err.Error(), "no session can be made until this is mended"
			break
		}
		f.State, f.Detail = OK, detail
	}
	return f
}
