package plan

import (
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The bounds of a plan and of its text.
const (
	MaxText    = 1 << 20   // bytes of a namespace file
	MaxOps     = 10_000    // steps of a plan
	MaxPath    = 4096      // bytes of a path
	MaxContent = 256 << 10 // bytes of a File
	MaxValue   = 128<<10 - 1
	maxName    = 255 // bytes of a path element: NAME_MAX of every Linux file system
	maxWords   = 4096
)

// checkOp checks everything about a step that does not depend on the others.
func checkOp(op Op) error {
	switch o := op.(type) {
	case Namespaces:
		return checkNamespaces(o)
	case Overlay:
		return checkOverlay(o)
	case Mount:
		return checkMount(o)
	case Bind:
		return checkBind(o)
	case Disk:
		return checkDisk(o)
	case Unmount:
		return checkTarget(o.Target)
	case Chdir:
		return checkPath("directory", o.Dir)
	case Mkdir:
		if err := checkOwner(o.Mode, o.UID, o.GID); err != nil {
			return err
		}
		return checkTarget(o.Path)
	case Link:
		return checkLink(o)
	case File:
		return checkFile(o)
	case ReadOnly:
		return checkPath("target", o.Target)
	case Identity:
		return checkIdentity(o)
	case Privileges:
		return checkPrivileges(o)
	case Limit:
		if !slices.Contains(limitNames[:], o.Name) {
			return invalid("unknown limit %s%s", quote(o.Name), hint(o.Name, limitNames[:]))
		}
		if most, ok := mostOf[o.Name]; ok && o.Value != Unlimited && (o.Value == 0 || o.Value > most) {
			return invalid("the limit %s is %d; it can be 1 to %d, or unlimited", o.Name, o.Value, most)
		}
		return nil
	case Environment:
		return checkEnvironment(o)
	}
	return invalid("unknown step %T", op)
}

// checkPath accepts absolute, clean paths. A clean absolute path has no "..".
func checkPath(what, p string) error {
	switch {
	case p == "":
		return invalid("the %s is empty", what)
	case len(p) > MaxPath:
		return invalid("the %s %s is longer than %d bytes", what, short(p), MaxPath)
	case strings.IndexByte(p, 0) >= 0:
		return invalid("the %s %s holds a NUL byte", what, short(p))
	case p[0] != '/':
		return invalid("the %s %s is not absolute", what, short(p))
	case path.Clean(p) != p:
		return invalid("the %s %s is not clean; write %s", what, short(p), short(path.Clean(p)))
	}
	for e := range strings.SplitSeq(p, "/") {
		if len(e) > maxName {
			return invalid("the %s %s has an element longer than %d bytes", what, short(p), maxName)
		}
	}
	return nil
}

// checkTarget accepts what something may be put at: not the root itself, and
// nothing below /proc, where every name has a meaning of its own.
func checkTarget(p string) error {
	if err := checkPath("target", p); err != nil {
		return err
	}
	if p == "/" {
		return invalid("the target is /; only an overlay can be the root")
	}
	if strings.HasPrefix(p, "/proc/") {
		return invalid("the target %s is below /proc", short(p))
	}
	return nil
}

// below reports whether p is dir or lies below it. Both are clean and absolute.
func below(p, dir string) bool {
	return p == dir || dir == "/" || len(p) > len(dir) && p[len(dir)] == '/' && p[:len(dir)] == dir
}

func checkOwner(mode, uid, gid uint32) error {
	if mode > 0o7777 {
		return invalid("the mode %#o is larger than 07777", mode)
	}
	return checkIDs(uid, gid)
}

// checkIDs refuses the id that chown(2) and setresuid(2) take for "leave it".
func checkIDs(ids ...uint32) error {
	if slices.Contains(ids, noID) {
		return invalid("the id %d stands for no user or group", uint32(noID))
	}
	return nil
}

const noID = math.MaxUint32

func checkLink(l Link) error {
	if l.Text == "" || len(l.Text) > MaxPath || strings.IndexByte(l.Text, 0) >= 0 {
		return invalid("the link's text %s has to be 1 to %d bytes without NUL", short(l.Text), MaxPath)
	}
	return checkTarget(l.Path)
}

func checkFile(f File) error {
	if len(f.Content) > MaxContent {
		return invalid("the content of %s is larger than %d bytes", short(f.Path), MaxContent)
	}
	if strings.IndexByte(f.Content, 0) >= 0 {
		return invalid("the content of %s holds a NUL byte", short(f.Path))
	}
	if err := checkOwner(f.Mode, f.UID, f.GID); err != nil {
		return err
	}
	return checkTarget(f.Path)
}

func checkIdentity(i Identity) error {
	if len(i.Groups) > 65536 {
		return invalid("%d groups; the kernel takes 65536", len(i.Groups))
	}
	return checkIDs(append(i.Groups[:len(i.Groups):len(i.Groups)], i.UID, i.GID)...)
}

func checkPrivileges(p Privileges) error {
	for _, list := range [][]string{p.Capabilities, p.Bounding} {
		for _, c := range list {
			if !slices.Contains(capabilities[:], c) {
				return invalid("unknown capability %s%s", quote(c), hint(c, capabilities[:]))
			}
		}
	}
	if p.Seccomp != "" && !slices.Contains(seccompNames[:], p.Seccomp) {
		return invalid("unknown seccomp filter %s%s", quote(p.Seccomp), hint(p.Seccomp, seccompNames[:]))
	}
	return nil
}

func checkEnvironment(e Environment) error {
	if !IsVariable(e.Name) || len(e.Name) > maxName {
		return invalid("the variable name %s is not made of letters, digits and _", short(e.Name))
	}
	if len(e.Value) > MaxValue || strings.IndexByte(e.Value, 0) >= 0 {
		return invalid("the value of %s has to be at most %d bytes without NUL", e.Name, MaxValue)
	}
	return nil
}

// IsVariable reports whether s can name a variable: a letter or _ followed by
// those and digits.
func IsVariable(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i], i == 0) {
			return false
		}
	}
	return s != ""
}

func nameByte(c byte, first bool) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || !first && c >= '0' && c <= '9'
}

// short quotes s for an error, cut to what fits on a line.
func short(s string) string {
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	return strconv.Quote(s)
}
