package inside

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/identity"
)

// ErrNoRange says that no ids are free.
var ErrNoRange = errors.New("no free range of 65536 ids was found")

const (
	rangeTries = 256
	// nspawnLocks is where systemd-nspawn locks the ranges that it picks.
	nspawnLocks = "/run/systemd/nspawn-uid"
)

// pickRange finds a range of ids that no account, no subordinate range, no
// process and no container of systemd-nspawn has, and locks it as that one does.
// Of several contexts each begins to look elsewhere.
func pickRange(ctx context.Context, id string) (first uint32, lock *os.File, err error) {
	taken, err := takenIDs()
	if err != nil {
		return 0, nil, err
	}
	const n = (plan.LastRange-plan.FirstRange)/kernel.RangeSize + 1
	h := fnv.New32a()
	h.Write([]byte(id))
	for i := range uint32(rangeTries) {
		first = plan.FirstRange + (h.Sum32()+i)%n*kernel.RangeSize
		if taken.overlap(first) {
			continue
		}
		lock, err = lockRange(nspawnLocks, first)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			continue
		}
		if err != nil {
			return 0, nil, fmt.Errorf("lock a range of ids: %w", err)
		}
		// A directory's accounts are in no file.
		known, err := (identity.Host{}).Taken(ctx, first)
		if err != nil {
			lock.Close()
			return 0, nil, fmt.Errorf("look whose the id %d is: %w", first, err)
		}
		if known {
			lock.Close()
			continue
		}
		return first, lock, nil
	}
	return 0, nil, ErrNoRange
}

// lockRange takes systemd's lock on a range: an open file description lock on a
// file of the first id's name (fcntl(2)), which goes with the last descriptor.
func lockRange(dir string, first uint32) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.FormatUint(uint64(first), 10)), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := LockWhole(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// LockWhole takes an open file description lock on all of a file, if nobody has one.
func LockWhole(f *os.File) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
}

// idSpan is from First to Last, both included.
type idSpan struct{ first, last uint64 }

type idSpans []idSpan

func (s idSpans) overlap(first uint32) bool {
	from, to := uint64(first), uint64(first)+kernel.RangeSize-1
	for _, t := range s {
		if t.first <= to && from <= t.last {
			return true
		}
	}
	return false
}

// takenIDs are the ids of the machine's accounts, groups, subordinate ranges and
// processes, as far as they lie among those of ranges.
func takenIDs() (out idSpans, err error) {
	for _, f := range []struct {
		name         string
		field, count int
	}{{"/etc/passwd", 2, 0}, {"/etc/group", 2, 0}, {"/etc/subuid", 1, 2}, {"/etc/subgid", 1, 2}} {
		spans, err := idsIn(f.name, f.field, f.count)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		out = append(out, spans...)
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var st unix.Stat_t
		if name[0] < '0' || name[0] > '9' || unix.Fstatat(int(proc.Fd()), name, &st, 0) != nil {
			continue // it has ended
		}
		out = append(out, idSpan{uint64(st.Uid), uint64(st.Uid)})
	}
	return out, nil
}

// idsIn reads spans off a file of lines with colons: the first id is in one field,
// and how many in another; 0 is one.
func idsIn(name string, field, count int) (out idSpans, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		fields := strings.Split(s.Text(), ":")
		if len(fields) <= max(field, count) {
			continue
		}
		first, err := strconv.ParseUint(fields[field], 10, 32)
		if err != nil {
			continue
		}
		n := uint64(1)
		if count != 0 {
			if n, err = strconv.ParseUint(fields[count], 10, 33); err != nil || n == 0 {
				continue
			}
		}
		out = append(out, idSpan{first, first + n - 1})
	}
	return out, s.Err()
}
