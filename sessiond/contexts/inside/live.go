package inside

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ninefold/internal/record"
	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/compat"
	"ninefold/roots/contexts"
	"ninefold/sessiond/process"
)

// live is what is kept of a context's namespaces, so that others join them.
type live struct {
	Boot    string `json:"boot"` // the kernel's boot id
	PID     int    `json:"pid"`  // of the holder
	Start   uint64 `json:"start"`
	MountNS uint64 `json:"mount_ns"`
	Layer   string `json:"layer"`
	// Frozen says that it lies over snapshots of all that packages bring: what becomes
	// of the machine is not seen in it.
	Frozen bool `json:"frozen,omitempty"`
	// Stamp is the machine's packages when it was made (compat.Stamp); "" is not known.
	Stamp string `json:"stamp,omitempty"`
	Plan  string `json:"plan"` // as a namespace file
}

var liveKind = record.Kind{Magic: "9foldcl\n", Version: 2, Oldest: 1, Max: 4 << 20}

const (
	// Where the records of live contexts lie: they are of no use after the machine's
	// next start, and a full disk keeps nobody out.
	runDirectory = "/run/ninefold"
	liveDir      = runDirectory + "/contexts"
	// endTimeout is how long a holder may take to end.
	endTimeout = 30 * time.Second
)

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // "" is as good on a machine without
	return string(b)
}

// open finds the holder of a live context again: nil when there is none. The
// number of a process alone could be another's by now.
func (l *live) open() *os.File {
	if l.Boot != bootID() {
		return nil
	}
	f, err := process.Open(l.PID, l.Start)
	if err != nil {
		return nil
	}
	if ns, err := process.MountNS(l.PID); err != nil || ns != l.MountNS || !process.Alive(l.PID, l.Start) {
		f.Close()
		return nil
	}
	return f
}

// find returns the live root of a context, nil when there is none. Then the one
// before has ended for good: two overlays must not write to one layer.
func (i *Roots) find(r contexts.Record) (*Root, error) {
	if err := i.finish(r); err != nil {
		return nil, err
	}
	l := i.live(r)
	if l == nil {
		return nil, i.thaw(r)
	}
	holder := l.open()
	if holder == nil {
		return nil, errors.Join(l.gone(), i.thaw(r))
	}
	p, err := plan.Parse("context "+r.Name, []byte(l.Plan))
	if err != nil {
		holder.Close()
		return nil, err
	}
	return &Root{p, holder, l.PID, l.Frozen}, nil
}

func liveFile(r contexts.Record) string { return filepath.Join(liveDir, r.ID) }

// endingFile is where the record of a root lies that is ending.
func endingFile(r contexts.Record) string { return liveFile(r) + ".ending" }

// write notes the live root of a context, so that others find it.
func write(r contexts.Record, s *namespaces.Session, p *plan.Plan, frozen bool) (err error) {
	l := &live{Boot: bootID(), PID: s.PID(), Layer: r.Layer, Frozen: frozen, Stamp: compat.Stamp("/"), Plan: plan.Print(p)}
	if l.Start, err = process.StartTime(l.PID); err == nil {
		l.MountNS, err = process.MountNS(l.PID)
	}
	if err != nil {
		return err
	}
	// The door is below the first, and everybody's.
	if err := os.Mkdir(runDirectory, 0o755); err == nil {
		err = os.Chmod(runDirectory, 0o755)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Mkdir(liveDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return liveKind.WriteForBoot(liveFile(r), l)
}

func (i *Roots) live(r contexts.Record) *live { return read(liveFile(r)) }

func read(name string) *live {
	var l live
	if liveKind.Read(name, &l) != nil {
		return nil // none, or of another version: it is made again
	}
	return &l
}
