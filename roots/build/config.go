package build

import (
	"errors"
	"time"

	"ninefold/internal/progress"
	"ninefold/roots/driver"
	"ninefold/roots/finish"
	"ninefold/roots/image"
	"ninefold/roots/recipe"
	"ninefold/roots/store"
)

// Sentinel errors of this package. Those of the parts come through: lock.ErrStale,
// debian.ErrHash, deb.ErrUndeclared, image.ErrConflict and so on.
var (
	// ErrOffline: something has to be solved or downloaded and Options.Offline
	// is set.
	ErrOffline = errors.New("the network would be needed")
	// ErrSource: the recipe's directory or tarball cannot be used.
	ErrSource = errors.New("bad source of the recipe")
)

// Config is where a build works. All directories belong to root and are made
// when they are missing.
type Config struct {
	Store  *store.Store
	Driver driver.Driver
	// Recipes holds the recipe that is built and its ancestors.
	Recipes *recipe.Set
	// Locks are directories that are searched for NAME.lock, in this order. A
	// new lock is written to the first.
	Locks []string
	// State keeps downloads (debs), verified indices (apt) and records of
	// builds (builds).
	State string
	// InitDir holds ninefold-init, which the sandbox of the finishing steps
	// needs.
	InitDir string
	// Root is the machine's root directory for its apt configuration and, for
	// from = "host", its files; default "/".
	Root string
	// Progress may be nil.
	Progress progress.Sink
}

// Options change what one build does.
type Options struct {
	// Relock solves the recipe and its ancestors anew, whatever their locks
	// say.
	Relock bool
	// Offline forbids the network: a missing lock or package is an error.
	Offline bool
	// Parts are composed besides the full chain.
	Parts []driver.Part
}

// Result is what a build made, or found made already.
type Result struct {
	// ID is the image of the recipe that was asked for.
	ID image.ID
	// Images are the recipe's chain, root first.
	Images []Image
}

// Image is one image of a Result.
type Image struct {
	Name string
	ID   image.ID
	// Unchanged says that it was there and nothing was done.
	Unchanged bool
	// Locked says that its lock was made or replaced.
	Locked bool
	// Packages counts those of its own, Converted those among them that were
	// not in the store.
	Packages, Converted int
	Steps               []finish.Ran
	// Stages says how long each stage took.
	Stages []Stage
}

// Stage is a part of a build and the time it took.
type Stage struct {
	Name string
	Took time.Duration
}

func (i *Image) timed(name string, start time.Time) {
	i.Stages = append(i.Stages, Stage{name, time.Since(start)})
}
