package image

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// ErrConflict is wrapped by every *ConflictError.
var ErrConflict = errors.New("packages conflict")

// ConflictError says that two packages of one image hold the same path and do
// not agree on what it is.
type ConflictError struct {
	Path string // without a leading slash
	A, B Owner
	// Why says in words how the two differ.
	Why string
}

// Error names both packages and the path.
func (e *ConflictError) Error() string {
	a, b := e.A.String(), e.B.String()
	if e.A.Image != e.B.Image {
		a += " (image " + e.A.Image + ")"
	}
	return fmt.Sprintf("%s and %s (image %s) both hold /%s: %s", a, b, e.B.Image, e.Path, e.Why)
}

// Unwrap lets errors.Is find ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// reconcile decides what two claims on one path come to: one entry that stands
// for both and whether it is the second one's, or why they conflict. Of two
// equal entries it is the first one's.
func reconcile(a, b *pkg.Entry) (e *pkg.Entry, second bool, why string) {
	if a.Kind != b.Kind {
		return nil, false, fmt.Sprintf("%s and %s", kindName(a.Kind), kindName(b.Kind))
	}
	if a.Kind == pkg.Dir {
		return reconcileDirs(a, b)
	}
	var differ []string
	if a.Digest != b.Digest || a.Size != b.Size {
		differ = append(differ, "different content")
	}
	if a.Target != b.Target {
		differ = append(differ, fmt.Sprintf("links to %q and %q", a.Target, b.Target))
	}
	if a.Major != b.Major || a.Minor != b.Minor {
		differ = append(differ, fmt.Sprintf("devices %d:%d and %d:%d", a.Major, a.Minor, b.Major, b.Minor))
	}
	differ = append(differ, attributes(a, b)...)
	if a.MTime != b.MTime && len(differ) == 0 {
		differ = append(differ, fmt.Sprintf("same content with modification times %d and %d", a.MTime, b.MTime))
	}
	return a, false, strings.Join(differ, ", ")
}

// reconcileDirs joins two directories. The later time stands. Where one package
// says something special and the other just needs a directory (root:root
// 0755), the special one stands: that is what the other would say by not
// listing it.
func reconcileDirs(a, b *pkg.Entry) (e *pkg.Entry, second bool, why string) {
	e = a
	if differ := attributes(a, b); differ != nil {
		switch {
		case plainDir(b):
		case plainDir(a):
			e, second = b, true
		default:
			return nil, false, "directories with " + strings.Join(differ, ", ")
		}
	}
	if last := max(a.MTime, b.MTime); e.MTime != last {
		later := *e
		later.MTime = last
		e = &later
	}
	return e, second, ""
}

func plainDir(e *pkg.Entry) bool {
	return e.Mode == 0o755 && e.UID == 0 && e.GID == 0 && len(e.Xattrs) == 0
}

// attributes lists how a and b differ in mode, owner and extended attributes.
func attributes(a, b *pkg.Entry) []string {
	var why []string
	if a.Mode != b.Mode {
		why = append(why, fmt.Sprintf("modes %04o and %04o", a.Mode, b.Mode))
	}
	if a.UID != b.UID || a.GID != b.GID {
		why = append(why, fmt.Sprintf("owners %d:%d and %d:%d", a.UID, a.GID, b.UID, b.GID))
	}
	if !sameXattrs(a.Xattrs, b.Xattrs) {
		why = append(why, "different extended attributes")
	}
	return why
}

func sameXattrs(a, b []pkg.Xattr) bool {
	return slices.EqualFunc(a, b, func(x, y pkg.Xattr) bool { return x.Name == y.Name && bytes.Equal(x.Value, y.Value) })
}

func kindName(k pkg.Kind) string {
	switch k {
	case pkg.Dir:
		return "a directory"
	case pkg.File:
		return "a file"
	case pkg.Symlink:
		return "a symbolic link"
	case pkg.Char, pkg.Block:
		return "a device"
	case pkg.Fifo:
		return "a named pipe"
	}
	return fmt.Sprintf("kind %d", k)
}
