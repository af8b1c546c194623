package contexts

import (
	"iter"
	"slices"
	"time"

	"ninefold/internal/record"
)

// Record is what is kept about a context. It is small, and written whole.
type Record struct {
	// ID names the context's directory, and never changes.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Owner is whose it is. Names are apart for each owner.
	Owner   uint32    `json:"owner"`
	Created time.Time `json:"created"`
	// Stands is the host as it was when the current layer was begun.
	Stands Stands `json:"stands"`
	// Layer is the directory of the writable layer, below "layers".
	Layer string `json:"layer"`
	// Last is the number that the newest layer was given.
	Last int `json:"last"`
	// Points are what undo goes back to, the newest last.
	Points []Point `json:"points,omitempty"`
	// Undone is what undo left, for redo.
	Undone *Point `json:"undone,omitempty"`
	// Size bounds what the context takes on the disk in bytes, with all its states; 0
	// does not.
	Size int64 `json:"size,omitempty"`
	// Asked are the commands that were given to run, the newest last.
	Asked []Asked `json:"asked,omitempty"`
}

// Stands says which host a layer was written over.
type Stands struct {
	// Packages is the digest of the installed packages, "" where there is no dpkg.
	Packages string    `json:"packages"`
	Stamp    string    `json:"stamp"`   // differs when Packages may differ
	Release  string    `json:"release"` // PRETTY_NAME of os-release(5)
	Kernel   string    `json:"kernel"`  // uname -r
	At       time.Time `json:"at"`
	// Image is the id of the image that it stands on, "" for none, and Named what
	// that was called. Below an image that stands on the host is the host.
	Image string `json:"image,omitempty"`
	Named string `json:"named,omitempty"`
	// Pin is the directory below "layers" with the host as it was, "" when the layer
	// is over the host as it is.
	Pin string `json:"pin,omitempty"`
}

// Same reports whether the packages, the release and the image are the same.
func (s Stands) Same(o Stands) bool {
	return s.Packages == o.Packages && s.Release == o.Release && s.Image == o.Image
}

// Elsewhere reports whether it is not over the host as it is.
func (s Stands) Elsewhere() bool { return s.Image != "" || s.Pin != "" }

// Point is a state of a context that is kept.
type Point struct {
	Layer  string    `json:"layer"`
	When   time.Time `json:"when"`
	Why    string    `json:"why"` // for people: "snapshot", "rebase"
	Stands Stands    `json:"stands"`
	Asked  []Asked   `json:"asked,omitempty"`
}

// Asked is a command that was given to run.
type Asked struct {
	When time.Time `json:"when"`
	Argv []string  `json:"argv"`
	Code int       `json:"code"` // its exit status
}

// The bounds of a record.
const (
	// MaxPoints is how many states are kept; the oldest goes first.
	MaxPoints = 16
	maxAsked  = 1000
	maxArgv   = 64 << 10
	maxRecord = 16 << 20
)

var kind = record.Kind{Magic: "9foldcx\n", Version: 3, Oldest: 1, Max: maxRecord}

// RecordVersion is 2 for a bounded context, which an older Ninefold would take for
// an empty one, and 3 for one with a state that an older one would put over the host.
func (r Record) RecordVersion() uint32 {
	for s := range r.stands() {
		if s.Elsewhere() {
			return 3
		}
	}
	if r.Size > 0 {
		return 2
	}
	return 1
}

// current is the state that the record is in.
func (r *Record) current(why string, now time.Time) Point {
	return Point{Layer: r.Layer, When: now, Why: why, Stands: r.Stands, Asked: r.Asked}
}

// goTo makes p the state of the record.
func (r *Record) goTo(p Point) {
	r.Layer, r.Stands, r.Asked = p.Layer, p.Stands, p.Asked
}

// stands are what the states of the context stand on, with their layers.
func (r *Record) stands() iter.Seq2[Stands, string] {
	return func(yield func(Stands, string) bool) {
		if !yield(r.Stands, r.Layer) || r.Undone != nil && !yield(r.Undone.Stands, r.Undone.Layer) {
			return
		}
		for _, p := range r.Points {
			if !yield(p.Stands, p.Layer) {
				return
			}
		}
	}
}

// names reports whether the record speaks of a directory below "layers".
func (r *Record) names(layer string) bool {
	for s, l := range r.stands() {
		if l == layer || s.Pin == layer {
			return true
		}
	}
	return false
}

// Images are the ids of the images that states of the context stand on.
func (r Record) Images() (ids []string) {
	for s := range r.stands() {
		if s.Image != "" && !slices.Contains(ids, s.Image) {
			ids = append(ids, s.Image)
		}
	}
	return ids
}

// Ask adds a command to what was asked for. What does not fit is not kept.
func (r *Record) Ask(a Asked) {
	size := 0
	for _, w := range a.Argv {
		size += len(w)
	}
	if size > maxArgv || len(r.Asked) >= maxAsked {
		return
	}
	r.Asked = append(r.Asked[:len(r.Asked):len(r.Asked)], a)
}
