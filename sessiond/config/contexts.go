package config

import (
	"fmt"
	"math"

	"ninefold/sessiond/profile"
)

// Contexts says what host contexts are to be like.
type Contexts struct {
	// Size bounds what a new context takes on the disk, such as "20G"; "" does not.
	Size string `toml:"size"`
	// Users has users other than root have contexts of their own, as polkit allows;
	// true where the file does not say.
	Users bool `toml:"users"`
	// Each is how many one of them may have; 0 is ContextsEach.
	Each int `toml:"each"`
	// UserSize is what one of those takes on the disk at most; "" is ContextsUserSize,
	// and "none" no bound.
	UserSize string `toml:"user_size"`
}

// The bounds where the configuration has none, and the highest that it may set.
const (
	ContextsEach     = 8
	ContextsUserSize = 20 << 30
	mostContexts     = 1000
	none             = "none"
)

// MinContext is the least that a context can be bounded to, in bytes: less than that
// its file system itself would take.
const MinContext = 16 << 20

// Bytes is Size as a number; 0 is no bound.
func (c Contexts) Bytes() int64 {
	n, err := profile.ParseSize(c.Size)
	if err != nil || n > math.MaxInt64 {
		return 0 // "", since the file was checked
	}
	return int64(n)
}

// OfEach is how many contexts one user may have.
func (c Contexts) OfEach() int {
	if c.Each == 0 {
		return ContextsEach
	}
	return c.Each
}

// UserBytes is UserSize as a number; 0 is no bound.
func (c Contexts) UserBytes() int64 {
	if c.UserSize == none {
		return 0
	}
	n, err := profile.ParseSize(c.UserSize)
	if err != nil || n > math.MaxInt64 {
		return ContextsUserSize // "", since the file was checked
	}
	return int64(n)
}

// check reports what is wrong by bad, which names a key.
func (c Contexts) check(bad func(msg string, key ...string)) {
	wrong := func(size string) bool {
		n, err := profile.ParseSize(size)
		return size != "" && (err != nil || n < MinContext || n > math.MaxInt64)
	}
	if wrong(c.Size) {
		bad(fmt.Sprintf("contexts.size is %q; write a size of 16M or more, such as \"20G\"", c.Size), "contexts", "size")
	}
	if c.UserSize != none && wrong(c.UserSize) {
		bad(fmt.Sprintf("contexts.user_size is %q; write a size of 16M or more, such as \"20G\", or \"none\"", c.UserSize), "contexts", "user_size")
	}
	if c.Each < 0 || c.Each > mostContexts {
		bad(fmt.Sprintf("contexts.each is %d; it is at most %d", c.Each, mostContexts), "contexts", "each")
	}
}
