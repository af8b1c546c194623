package lock

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"ninefold/roots/pkg"
)

// ErrStale says that a lock answers another question than the recipe asks.
var ErrStale = errors.New("lock is out of date")

// Question is what the solver is asked. All of it but Keyring and
// AllowExpired decides the answer's hash: how the archive proves itself does
// not change which packages are wanted from it.
type Question struct {
	Recipe string
	Arch   string
	// Root adds the essential packages: the image stands on nothing.
	Root       bool
	Packages   []string // name or name=version, in any order
	Suite      string
	Components []string
	// Mirror is empty for the machine's own; then it is no part of the hash,
	// so that a lock is good on machines with other mirrors.
	Mirror       string
	Recommends   bool
	Updates      bool
	Keyring      string
	AllowExpired bool
	// Host asks on top of the packages installed on the running machine.
	Host bool
	// From is the reference of the image that the chain stands on; mostly "".
	From string
	// Parent holds the packages of all ancestors, or the machine's.
	Parent []Package
}

// Hash names the question. It is stable over the order of packages.
func (q Question) Hash() pkg.Digest {
	type have struct{ Name, Version, Arch string }
	canon := struct {
		Version             int
		Arch                string
		Root                bool
		Packages            []string
		Suite               string
		Components          []string
		Mirror              string
		Recommends, Updates bool
		Host                bool
		Parent              []have
		From                string `json:",omitempty"` // no part of older locks' hashes
	}{1, q.Arch, q.Root, slices.Sorted(slices.Values(q.Packages)), q.Suite, q.Components, q.Mirror, q.Recommends, q.Updates, q.Host, nil, q.From}
	for _, p := range q.Parent {
		canon.Parent = append(canon.Parent, have{p.Name, p.Version, p.Arch})
	}
	slices.SortFunc(canon.Parent, func(a, b have) int {
		return compare(a.Name, b.Name, a.Version, b.Version, a.Arch, b.Arch)
	})
	text, err := json.Marshal(canon)
	if err != nil {
		panic(err) // strings, numbers and booleans always marshal
	}
	return sha256.Sum256(text)
}

// Check reports whether l answers q: nil, or an error that wraps ErrStale and
// says what to do.
func (l *Lock) Check(q Question) error {
	if l.Arch != q.Arch {
		return fmt.Errorf("%w: the lock of %s is for %s and this machine is %s; lock it again", ErrStale, q.Recipe, l.Arch, q.Arch)
	}
	if l.RecipeHash != q.Hash() {
		return fmt.Errorf("%w: the recipe %s, its source or its parent's packages have changed since it was locked; lock it again", ErrStale, q.Recipe)
	}
	return nil
}
