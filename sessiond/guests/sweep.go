package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Swept is what a sweep came to.
type Swept struct {
	Clean   []string `json:"clean"`   // whose ids are free again
	Remains []string `json:"remains"` // of whom something was found
	Live    []string `json:"live"`    // whose sessions run, or whose login logind still takes down
	Files   uint64   `json:"files"`   // that were looked at
}

// Sweep settles what sessions left to be done: it looks after guests whose keeper
// was killed, searches the machine's file systems for files of those whose
// sessions are over, and makes the ids free of which nothing is left. It may take
// minutes, and several may run at a time.
func (g *Guests) Sweep(ctx context.Context) (Swept, error) {
	var out Swept
	if err := errors.Join(g.unbegun(), g.forsaken()); err != nil {
		return out, err
	}
	names, err := namesIn(g.taken())
	if err != nil {
		return out, err
	}
	over := map[uint32]*Guest{}
	defer func() {
		for _, guest := range over {
			guest.id.give()
		}
	}()
	var failed error
	for _, name := range names {
		uid, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			continue // not a record of ours
		}
		guest, err := g.resume(uint32(uid))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			failed = errors.Join(failed, err)
		case guest != nil && stillOut(guest.UID):
			guest.id.give()
			out.Live = append(out.Live, guest.Name)
		case guest == nil:
			out.Live = append(out.Live, Name(uint32(uid)))
		default:
			guest.leaveLightdm()
			// A keeper that was killed before its guest came leaves its socket, which is the guest's.
			_ = unix.Unlink(guest.Entrance())
			over[guest.UID] = guest
		}
	}
	if len(over) == 0 {
		return out, failed
	}
	wanted := make(map[uint32]bool, len(over))
	for uid := range over {
		wanted[uid] = true
	}
	found, files, err := search(ctx, wanted)
	out.Files = files
	if err != nil {
		// Nothing is proved: the ids wait for the next one.
		return out, errors.Join(failed, fmt.Errorf("search the machine for files of guests: %w", err))
	}
	settled := time.Now().Add(lingers) // for all of them
	for uid, guest := range over {
		failed = errors.Join(failed, guest.searched(found[uid], settled))
		if guest.State == Clean {
			out.Clean = append(out.Clean, guest.Name)
		} else {
			out.Remains = append(out.Remains, guest.Name)
		}
	}
	return out, failed
}

// What lightdm makes for whoever logs in, outside of the session: a directory below
// each of the first, empty or with the X server's cookie (user-authority-in-system-dir
// of lightdm.conf), and a note of what was picked.
var (
	lightdmDirs  = []string{"/var/lib/lightdm-data", "/run/lightdm"}
	lightdmNotes = "/var/cache/lightdm/dmrc"
)

// leaveLightdm takes those away. The guest itself never had a process that could put
// something there, and what else is the guest's there stays and is found.
func (g *Guest) leaveLightdm() {
	for _, dir := range lightdmDirs {
		own := filepath.Join(dir, g.Name)
		// Where something else is in its place, a link say, that is left alone.
		if fd, err := unix.Open(own, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
			_ = unix.Unlinkat(fd, "xauthority", 0)
			unix.Close(fd)
		}
		_ = unix.Rmdir(own)
	}
	_ = unix.Unlink(filepath.Join(lightdmNotes, g.Name+".dmrc"))
}

// stillOut reports whether logind still has the user of a guest who logged in: for
// some seconds it keeps an empty directory, which the next sweep finds gone.
func stillOut(uid uint32) bool {
	entries, err := os.ReadDir("/run/user/" + number(uid))
	return err == nil && len(entries) == 0
}

// Over are the ids of guests who have ended, and are not free yet.
func (g *Guests) Over() (ids []uint32, err error) {
	all, err := g.List()
	for _, r := range all {
		if r.State == Ended || r.State == Remains {
			ids = append(ids, r.UID)
		}
	}
	return ids, err
}

// Abandoned are those of the ids of which logind has let go without taking down the
// directory that it had made for them, as it does when a login program is killed
// while it waits for its session: user-runtime-dir@UID.service is then active for good.
func (g *Guests) Abandoned(over []uint32) (ids []uint32) {
	for _, uid := range over {
		_, known := os.Lstat("/run/systemd/users/" + number(uid))
		if stillOut(uid) && errors.Is(known, fs.ErrNotExist) {
			ids = append(ids, uid)
		}
	}
	return ids
}

// resume returns the guest with the id uid, whose session is over, with its
// lock; nil while one runs.
func (g *Guests) resume(uid uint32) (*Guest, error) {
	id, err := lock(g.locks, uid)
	if err != nil || id == nil {
		return nil, err
	}
	guest := &Guest{all: g, id: id}
	if err := kind.Read(g.record(uid), &guest.Report); err != nil {
		id.give()
		return nil, err
	}
	return guest, nil
}

// searched notes the files that were found, and what else is there at the deadline.
func (g *Guest) searched(files []string, deadline time.Time) error {
	now, err := lasting(g.UID, deadline, nil)
	if err != nil {
		return fmt.Errorf("look for what is left of %s: %w", g.Name, err)
	}
	g.Left, g.Searched = append(now, files...), time.Now()
	if g.Ended.IsZero() {
		g.Ended = g.Searched // its keeper was killed
	}
	if len(g.Left) > 0 {
		g.State = Remains
		g.write()
		return g.written()
	}
	g.State = Clean
	return g.settle()
}
