package contexts

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
	"ninefold/namespaces/upper"
)

// directory is what a directory of the machine looked like before a layer could
// change that.
type directory struct {
	Mode       uint32            `json:"mode"`
	UID        uint32            `json:"uid"`
	GID        uint32            `json:"gid"`
	Attributes map[string][]byte `json:"attributes,omitempty"`
}

var directoriesKind = record.Kind{Magic: "9foldcd\n", Version: 1, Max: 256 << 20}

func directoriesFile(dir string) string { return filepath.Join(dir, Base, "directories.record") }

// directoriesOf are those that a layer changed, or could have: by path.
func directoriesOf(dir string) (all map[string]directory, err error) {
	err = directoriesKind.Read(directoriesFile(dir), &all)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]directory{}, nil
	}
	return all, err
}

// node is the directory as others are compared with it.
func (d directory) node() node {
	n := node{exists: true, mode: d.Mode, uid: d.UID, gid: d.GID}
	for a, v := range d.Attributes {
		if n.attributes == nil {
			n.attributes = map[string]string{}
		}
		n.attributes[a] = string(v)
	}
	return n
}

// noteDirectory notes what the machine's directory looks like for one of a layer,
// unless that is noted or the machine may have changed it since.
func noteDirectory(all map[string]directory, e *upper.Entry, host *os.File, st unix.Stat_t, below period) error {
	name := e.Path()
	if _, ok := all[name]; ok {
		return nil
	}
	theirs, err := nodeOf(host, st)
	if err != nil {
		return err
	}
	if !below.unchanged(e, st) {
		mine, err := nodeAt(int(e.Parent.Fd()), e.Base())
		if err != nil || !mine.sameOwner(theirs) {
			return err
		}
	}
	d := directory{Mode: st.Mode, UID: st.Uid, GID: st.Gid}
	for a, v := range theirs.attributes {
		if d.Attributes == nil {
			d.Attributes = map[string][]byte{}
		}
		d.Attributes[a] = []byte(v)
	}
	all[name] = d
	return nil
}

// period is the time in which entries of a layer were made over the machine as it
// was until frozen.
type period struct{ frozen, now time.Time }

// unchanged reports whether a file of the machine, of which st is known, is what the
// layer's entry was made over: it has not changed since that was, which was before
// now.
func (p period) unchanged(e *upper.Entry, st unix.Stat_t) bool {
	var born unix.Statx_t
	if err := unix.Statx(int(e.Parent.Fd()), e.Base(), unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &born); err != nil || born.Mask&unix.STATX_BTIME == 0 {
		return false
	}
	at := time.Unix(born.Btime.Sec, int64(born.Btime.Nsec))
	changed := time.Unix(st.Ctim.Sec, st.Ctim.Nsec)
	return !at.After(p.now) && changed.Before(at) && changed.Before(p.frozen)
}

// keepDirectories writes down what noteDirectory noted since it was read.
func keepDirectories(dir string, before, now map[string]directory) error {
	same := func(a, b directory) bool { return a.node().sameOwner(b.node()) }
	if maps.EqualFunc(before, now, same) {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(dir, Base), 0o700); err != nil {
		return err
	}
	return directoriesKind.Write(directoriesFile(dir), now)
}
