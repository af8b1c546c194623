package guests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ninefold/sessiond/process"
)

const (
	// lingers is how long what ended may still be seen: an exiting process, a key that
	// the kernel has not collected.
	lingers = 5 * time.Second
	// soon is how long that takes when nobody holds it.
	soon = 200 * time.Millisecond
)

// lasting is what is left of uid at the deadline, or nothing as soon as nothing is. What
// the kernel keeps of keys is dropped meanwhile; letGo, unless it is nil, is called
// once when that is not enough.
func lasting(uid uint32, deadline time.Time, letGo func()) ([]string, error) {
	for begun := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		found, err := left(uid)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		if err := forgetKeys(uid); err != nil || time.Now().After(deadline) {
			return found, err
		}
		if letGo != nil && time.Since(begun) > soon {
			letGo()
			letGo = nil
		}
	}
}

// left looks for what the kernel knows of uid: processes, System V IPC objects
// and keys. Files are search's business.
func left(uid uint32) ([]string, error) {
	var found []string
	processes, err := process.ByUID(uid)
	if err != nil {
		return nil, err
	}
	for _, p := range processes {
		found = append(found, fmt.Sprintf("the process %d", p))
	}
	for _, kind := range []string{"shm", "sem", "msg"} {
		ids, err := ipcOf("/proc/sysvipc/"+kind, uid)
		if err != nil {
			return nil, err
		}
		for _, n := range ids {
			found = append(found, fmt.Sprintf("the IPC object %s %s", kind, n))
		}
	}
	keys, err := hasKeys(uid)
	if err != nil || !keys {
		return found, err
	}
	named, err := describeKeys(uid)
	if len(named) == 0 {
		named = []string{"keys"} // which it could not see itself
	}
	return append(found, named...), err
}

// ipcOf returns the ids of what uid owns or made, by the columns' names in the
// first line (sysvipc(7)).
func ipcOf(name string, uid uint32) ([]string, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without
	}
	if err != nil {
		return nil, err
	}
	rows := strings.Split(strings.TrimSpace(string(text)), "\n")
	heading := strings.Fields(rows[0])
	owner, maker := slices.Index(heading, "uid"), slices.Index(heading, "cuid")
	if owner < 0 || maker < 0 || len(heading) < 2 {
		return nil, fmt.Errorf("%s has no columns uid and cuid", name)
	}
	var found []string
	who := strconv.FormatUint(uint64(uid), 10)
	for _, row := range rows[1:] {
		f := strings.Fields(row)
		if len(f) > max(owner, maker) && (f[owner] == who || f[maker] == who) {
			found = append(found, f[1])
		}
	}
	return found, nil
}

// hasKeys reports whether the kernel counts keys of uid (proc_key-users(5)).
func hasKeys(uid uint32) (bool, error) {
	text, err := os.ReadFile("/proc/key-users")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	who := strconv.FormatUint(uint64(uid), 10) + ":"
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == who && f[1] != "0" {
			return true, err
		}
	}
	return false, err
}
