package api

import (
	"context"
	"time"
)

// Parked is what one logout left outside the home, put aside for a while, or a
// kept layer that its base has changed under.
type Parked struct {
	ID      string `json:"id"`
	UID     uint32 `json:"uid"`
	User    string `json:"user"`
	Profile string `json:"profile"`
	// Kind is "logout" or "set-aside".
	Kind  string    `json:"kind"`
	When  time.Time `json:"when"`
	Files int64     `json:"files"`
	Bytes int64     `json:"bytes"`
	// Left is how many files did not fit, or mean nothing outside of their root.
	Left int64 `json:"left"`
	// Why is the first reason why a file that could be copied was not, or not
	// with all of its attributes; "" for none.
	Why string `json:"why,omitempty"`
}

// Changes are what a view holds of its own.
type Changes struct {
	// Files and Bytes were written outside the home so far; More says that
	// there is more than was counted. They are 0 in a view that is kept.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	More  bool  `json:"more,omitempty"`
	// Kept says that what is written is there the next time. Otherwise a logout
	// throws it away, and puts it aside for a while if Parks.
	Kept  bool `json:"kept"`
	Parks bool `json:"parks"`
	// Stale are reasons why a new view would stand on something else.
	Stale []string `json:"stale,omitempty"`
}

// Restored is what came of a restoration.
type Restored struct {
	Files int64 `json:"files"`
	// Written were left for what the session has written there itself, Roots
	// because they are not the caller's, and Failed for other reasons, of which
	// Why is the first.
	Written int64  `json:"written"`
	Roots   int64  `json:"roots"`
	Failed  int64  `json:"failed"`
	Why     string `json:"why,omitempty"`
}

// Keeper looks after what views write. Who may call what is the surface's to
// decide.
type Keeper interface {
	Changes(ctx context.Context, view string) (Changes, error)
	// Parked is sorted by user, and then the newest first.
	Parked(ctx context.Context) ([]Parked, error)
	// Restore writes parked files of a view's user into the view: those of that
	// user, as that user, and all of them only asRoot, which a view that others
	// than root had a hand in does not get. over replaces what the view's
	// session has written itself.
	Restore(ctx context.Context, view, id string, asRoot, over bool) (Restored, error)
	Discard(ctx context.Context, id string) error
}
