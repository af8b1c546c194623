package guests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// forgetKeys takes away the keys that login programs have the kernel make for a
// uid (pam_keyinit(8)): the keyrings of a user and of its session stay for as long
// as the machine runs otherwise (user-keyring(7)). They are seen and given up with
// the guest's own right to them; the kernel collects them a moment later.
func forgetKeys(uid uint32) error {
	err := asOwner(uid, func(keys []key) error {
		var failed error
		for _, k := range keys {
			_, err := unix.KeyctlInt(unix.KEYCTL_INVALIDATE, k.id, 0, 0, 0)
			// A session's keyring is its possessors' alone, and goes with them.
			if err != nil && err != unix.EACCES && err != unix.ENOKEY && err != unix.EKEYREVOKED && err != unix.EKEYEXPIRED {
				failed = errors.Join(failed, fmt.Errorf("the key %x: %w", k.id, err))
			}
		}
		return failed
	})
	if err != nil {
		return fmt.Errorf("forget the keys of uid %d: %w", uid, err)
	}
	return nil
}

// describeKeys says which keys of uid there are.
func describeKeys(uid uint32) (found []string, err error) {
	err = asOwner(uid, func(keys []key) error {
		for _, k := range keys {
			found = append(found, k.String())
		}
		return nil
	})
	return found, err
}

// asOwner calls f with the keys of uid that it can see itself, with its right to
// them. A kernel without keys has none.
func asOwner(uid uint32, f func([]key) error) error {
	err := kernel.OnThread(func() error {
		return kernel.AsUser(uid, uid, nil, func() error {
			text, err := os.ReadFile("/proc/keys")
			if err != nil {
				return err
			}
			return f(keysOf(text, uid))
		})
	})
	return gone(err)
}

// key is one as the kernel tells of it.
type key struct {
	id          int
	flags, name string
}

// String names the key. One that is dead is there for as long as something refers to
// it: a file that was opened with it in its process's credentials, say.
func (k key) String() string {
	over := ""
	if strings.ContainsAny(k.flags, "RDi") {
		over = ", dead" // revoked, dead or made invalid
	}
	return fmt.Sprintf("the key %08x (%s%s)", k.id, k.name, over)
}

// keysOf returns the keys of uid in what /proc/keys says (proc_keys(5)): the first
// column is the serial number, in hexadecimal, the second what state it is in, the
// sixth the uid, and the name comes from the eighth on.
func keysOf(text []byte, uid uint32) (keys []key) {
	who := number(uid)
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) < 9 || f[5] != who {
			continue
		}
		if id, err := strconv.ParseUint(f[0], 16, 31); err == nil {
			keys = append(keys, key{int(id), f[1], f[7] + " " + strings.TrimSuffix(f[8], ":")})
		}
	}
	return keys
}
