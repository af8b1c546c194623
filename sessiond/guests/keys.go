package guests

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
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
	err := kernel.OnThread(func() error {
		return kernel.AsUser(uid, uid, nil, func() error {
			text, err := os.ReadFile("/proc/keys")
			if err != nil {
				return err
			}
			var failed error
			for _, id := range keysOf(text, uid) {
				_, err := unix.KeyctlInt(unix.KEYCTL_INVALIDATE, id, 0, 0, 0)
				// A session's keyring is its possessors' alone, and goes with them.
				if err != nil && err != unix.EACCES && err != unix.ENOKEY && err != unix.EKEYREVOKED && err != unix.EKEYEXPIRED {
					failed = errors.Join(failed, fmt.Errorf("the key %x: %w", id, err))
				}
			}
			return failed
		})
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without keys
	}
	if err != nil {
		return fmt.Errorf("forget the keys of uid %d: %w", uid, err)
	}
	return nil
}

// keysOf returns the serial numbers of the keys of uid in what /proc/keys says
// (proc_keys(5)): the first column, in hexadecimal, where the sixth is the uid.
func keysOf(text []byte, uid uint32) (ids []int) {
	who := number(uid)
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) < 8 || f[5] != who {
			continue
		}
		if id, err := strconv.ParseUint(f[0], 16, 31); err == nil {
			ids = append(ids, int(id))
		}
	}
	return ids
}
