package trust

import (
	"errors"
	"fmt"
	"strings"
)

// What callers tell apart. All but ErrInvalid come as a Refusal, which is
// ErrRefused too.
var (
	// ErrInvalid: a trust file is wrong.
	ErrInvalid = errors.New("bad trust file")
	// ErrRefused: the image may not be used.
	ErrRefused = errors.New("the image is not trusted")
	// ErrUnsigned: no trusted key signed it.
	ErrUnsigned = errors.New("no trusted key signed it")
	// ErrScope: the key may not sign this.
	ErrScope = errors.New("the key may not sign it")
	// ErrExpired: the key, or the tag, does not count at this time.
	ErrExpired = errors.New("it is out of date")
	// ErrRevoked: the key was revoked.
	ErrRevoked = errors.New("the key is revoked")
	// ErrRollback: a newer version of the tag has been seen.
	ErrRollback = errors.New("a newer version was seen before")
	// ErrWrong: a signature by the key is not over this content.
	ErrWrong = errors.New("the signature is wrong")
)

// Refusal is why an image may not be used.
type Refusal struct {
	// What is the image, as the one who wanted it called it.
	What string
	// Of is the part of it that was refused: the image, its tag, or a package.
	Of string
	// Why are the reasons, at least one.
	Why []error
}

func (r *Refusal) Error() string {
	var why []string
	for _, w := range r.Why {
		why = append(why, w.Error())
	}
	return fmt.Sprintf("image %s: %s: %s", r.What, r.Of, strings.Join(why, "; "))
}

// Unwrap returns the reasons, and ErrRefused.
func (r *Refusal) Unwrap() []error { return append([]error{ErrRefused}, r.Why...) }

// Hint says what root can do about it.
func (r *Refusal) Hint() string {
	switch {
	case errors.Is(r, ErrRollback):
		return "somebody offers an old version; if it is meant, sessionctl image forget " + r.What
	case errors.Is(r, ErrRevoked), errors.Is(r, ErrExpired):
		return "pull a version that another key signed; see sessionctl key list, and the clock of this machine"
	}
	return "sessionctl image verify " + r.What + " says more; sessionctl key trust adds a key, and trust.toml says what must be signed"
}
