package contexts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The extended attributes that belong to a file's content: what users keep
// (xattr(7)), file capabilities and access lists. Those of overlays and of
// security modules are the file system's own.
const (
	capabilityAttribute = "security.capability"
	accessAttribute     = "system.posix_acl_access"
	defaultAttribute    = "system.posix_acl_default"
)

// maxAttributes bounds the names, and each value, of a file's (xattr(7)).
const maxAttributes = 64 << 10

func isCarried(name string) bool {
	return strings.HasPrefix(name, "user.") || name == capabilityAttribute || name == accessAttribute || name == defaultAttribute
}

// attributesAt reads the carried attributes of a file in an open directory, as they
// are for one whose ids on disk are first less.
func attributesAt(dir int, name string, first uint32) (map[string]string, error) {
	f, err := pathAt(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return attributesOf(f, first)
}

// pathAt opens what is at name, a link too, to look at it.
func pathAt(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func attributesOf(f *os.File, first uint32) (out map[string]string, err error) {
	at := procName(f)
	names, err := readAttribute(func(b []byte) (int, error) { return unix.Listxattr(at, b) })
	if errors.Is(err, unix.ENOTSUP) || err == nil && names == "" {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "list the attributes of", Path: f.Name(), Err: err}
	}
	for a := range strings.SplitSeq(strings.TrimSuffix(names, "\x00"), "\x00") {
		if !isCarried(a) {
			continue
		}
		v, err := readAttribute(func(b []byte) (int, error) { return unix.Getxattr(at, a, b) })
		if errors.Is(err, unix.ENODATA) {
			continue // removed meanwhile
		}
		if err == nil {
			v, err = shifted(a, v, -first)
		}
		if err != nil {
			return nil, &os.PathError{Op: "read the attribute " + a + " of", Path: f.Name(), Err: err}
		}
		if out == nil {
			out = map[string]string{}
		}
		out[a] = v
	}
	return out, nil
}

func readAttribute(read func([]byte) (int, error)) (string, error) {
	var small [256]byte
	n, err := read(small[:])
	if !errors.Is(err, unix.ERANGE) {
		return string(small[:max(n, 0)]), err
	}
	large := make([]byte, maxAttributes)
	n, err = read(large)
	return string(large[:max(n, 0)]), err
}

// setAttributes gives a file the attributes of another, and takes carried ones
// away that this has not.
func setAttributes(dir int, name string, want map[string]string, first uint32) error {
	f, err := pathAt(dir, name)
	if err != nil {
		return err
	}
	defer f.Close()
	have, err := attributesOf(f, first)
	if err != nil || maps.Equal(have, want) {
		return err
	}
	at := procName(f)
	for a := range have {
		if _, ok := want[a]; !ok {
			if err := unix.Removexattr(at, a); err != nil {
				return fmt.Errorf("remove the attribute %s: %w", a, err)
			}
		}
	}
	for a, v := range want {
		if v, err = shifted(a, v, first); err == nil {
			err = unix.Setxattr(at, a, []byte(forRoot(a, v, first)), 0)
		}
		if err != nil {
			return fmt.Errorf("set the attribute %s: %w", a, err)
		}
	}
	return nil
}

// errAttribute says that an attribute has not the form that the kernel gives it.
var errAttribute = errors.New("it is not understood")

const (
	capRevisionMask = 0xff000000 // linux/capability.h: struct vfs_cap_data
	capRevision2    = 0x02000000
	capRevision3    = 0x03000000 // with the id of the root that they are for
	capSize2        = 20
	capSize3        = 24

	aclVersion = 2 // linux/posix_acl_xattr.h
	aclHead    = 4
	aclEntry   = 8
	aclUser    = 2 // the kinds of entries that have an id
	aclGroup   = 8
)

// shifted is an attribute's value for ids that are by more; by is what wraps around to
// less. File capabilities lose whose root they are for: they are for that of wherever
// the file is.
func shifted(name, value string, by uint32) (string, error) {
	b := []byte(value)
	switch name {
	case capabilityAttribute:
		if len(b) == capSize3 && binary.LittleEndian.Uint32(b)&capRevisionMask == capRevision3 {
			binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)&^capRevisionMask|capRevision2)
			b = b[:capSize2]
		}
	case accessAttribute, defaultAttribute:
		if len(b) < aclHead || (len(b)-aclHead)%aclEntry != 0 || binary.LittleEndian.Uint32(b) != aclVersion {
			return "", errAttribute
		}
		for e := b[aclHead:]; len(e) > 0; e = e[aclEntry:] {
			if tag := binary.LittleEndian.Uint16(e); tag == aclUser || tag == aclGroup {
				binary.LittleEndian.PutUint32(e[4:], binary.LittleEndian.Uint32(e[4:])+by)
			}
		}
	}
	return string(b), nil
}

// forRoot is a shifted value as it is written where root is first: through mapped
// ids the kernel wants to be told whose root file capabilities are for.
func forRoot(name, value string, first uint32) string {
	b := []byte(value)
	if name != capabilityAttribute || first == 0 || len(b) != capSize2 || binary.LittleEndian.Uint32(b)&capRevisionMask != capRevision2 {
		return value
	}
	binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)&^capRevisionMask|capRevision3)
	return string(binary.LittleEndian.AppendUint32(b, first))
}
