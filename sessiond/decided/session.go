// Package decided holds a session between its decision and its end. It runs it,
// and keeps what was decided for the next start of the same kind, which then
// looks only whether everything that it was decided from is as it was.
package decided

import (
	"path"
	"slices"
	"strings"

	"ninefold/namespaces/plan"
)

// Session is a session that is decided.
type Session struct {
	Profile string
	Plan    *plan.Plan
	// Command is what runs when no other command is given.
	Command []string
	// Stay says where the session can begin in the caller's directory.
	Stay Stay
	// Watched are the files that a package manager rewrites, for a session on
	// the host's own root, which is stale when they change; empty otherwise.
	Watched Facts
	// Leases are the files of which a shared lock keeps what the session stands
	// on.
	Leases []string
	// Guest is the id that stands for the guest's in the plan of a session whose user
	// exists for it alone; 0 for others. Such a plan is untrusted for that alone.
	Guest uint32
}

// Stay says in which of the host's directories a session can begin, since it
// has them.
type Stay struct {
	Everywhere bool
	Home       string // and all below it; "" for none
}

// in reports whether dir is such a directory.
func (s Stay) in(dir string) bool {
	return s.Everywhere || s.Home != "" && (dir == s.Home || strings.HasPrefix(dir, s.Home+"/"))
}

// From returns the plan for a caller in dir, or in none that is to be kept when
// dir is "". A cd of the profile's own wins.
func (s *Session) From(dir string) *plan.Plan {
	if !strings.HasPrefix(dir, "/") || path.Clean(dir) != dir || !s.Stay.in(dir) {
		return s.Plan
	}
	own := slices.IndexFunc(s.Plan.Ops, func(op plan.Op) bool {
		f, ok := op.(plan.File)
		return ok && f.Path == plan.SessionFile
	})
	// What the profile's lines say comes after that file.
	p := *s.Plan
	p.Ops = slices.Insert(slices.Clone(s.Plan.Ops), own+1, plan.Op(plan.Chdir{Dir: dir}))
	return &p
}
