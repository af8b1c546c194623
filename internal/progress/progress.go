// Package progress carries how far a long job has come from the code that
// does it to whoever shows it.
package progress

// Update is one report. It is a value: sinks may keep it.
type Update struct {
	// Stage is a short word for what is being done: "solve", "download",
	// "unpack", "compose", "finish".
	Stage string `json:"stage"`
	// Item names what is being worked on right now; may be empty.
	Item string `json:"item,omitempty"`
	// Done and Total count Unit. Total 0 means unknown.
	Done  int64 `json:"done"`
	Total int64 `json:"total,omitempty"`
	// Unit is "bytes", "packages", "files" or "steps".
	Unit string `json:"unit,omitempty"`
	// End marks the last update of a stage.
	End bool `json:"end,omitempty"`
}

// Sink takes updates. Implementations must be safe for use by several
// goroutines and must not block for long: the job waits for them.
type Sink interface{ Update(Update) }

// Func adapts a function to a Sink.
type Func func(Update)

// Update calls f.
func (f Func) Update(u Update) { f(u) }

// None drops every update.
var None Sink = Func(func(Update) {})
