package decided

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/netstring"
)

// Facts are what was found at the paths that something was decided from. They
// hold as long as the same is found there. The zero Facts hold always.
//
// Each directory and symbolic link on the way to a path is a fact of its own,
// with its owner and mode: who could put another file in the place of one has
// not changed either.
type Facts struct {
	list  []fact
	known map[string]int // by path, while facts are gathered
}

// fact is what was found at a path, none of whose directories is a link.
type fact struct {
	path  string
	kind  byte
	print string
}

// The kinds of fact: how much of what lies at a path counts.
const (
	content  = 'c' // all: the file was read
	presence = 'p' // whether it is there, and is a directory, a link or something else
	onTheWay = 'd' // a directory that names were looked up in
	mounts   = 'm' // the mount table
	deadline = 't' // the time has not come; the path ends with it
)

// ahead is the print of a deadline that has not come.
const ahead = "ahead"

// mountTable is that of the calling thread.
const mountTable = "/proc/thread-self/mountinfo"

// maxLinks is how many symbolic links one path may lead through.
const maxLinks = 40

// Content adds absolute paths whose files were read, or looked for and not there.
func (f *Facts) Content(paths ...string) { f.add(content, paths) }

// Presence adds absolute paths that were only looked for.
func (f *Facts) Presence(paths ...string) { f.add(presence, paths) }

// Mounts adds the mount table of the calling thread.
func (f *Facts) Mounts() { f.note(fact{path: mountTable, kind: mounts}) }

// Until adds that it is earlier than t: what was decided ends then by itself.
func (f *Facts) Until(t time.Time) {
	f.note(fact{path: fmt.Sprintf("/until/%d", t.Unix()), kind: deadline})
}

func (f *Facts) add(kind byte, paths []string) {
	for _, p := range paths {
		f.walk(kind, path.Clean(p), 0)
	}
}

// walk notes every directory and link on the way to name, and name.
func (f *Facts) walk(kind byte, name string, links int) {
	at := "/"
	rest := strings.Split(strings.Trim(name, "/"), "/")
	f.note(fact{path: at, kind: onTheWay})
	for i, part := range rest {
		at = path.Join(at, part)
		var st unix.Stat_t
		err := unix.Lstat(at, &st)
		switch last := i == len(rest)-1; {
		case err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK && links < maxLinks:
			f.note(fact{path: at, kind: content})
			text := make([]byte, unix.PathMax)
			n, err := unix.Readlink(at, text)
			if err != nil {
				return
			}
			to := string(text[:n])
			if !strings.HasPrefix(to, "/") {
				to = path.Join(path.Dir(at), to)
			}
			f.walk(kind, path.Join(append([]string{to}, rest[i+1:]...)...), links+1)
			return
		case err != nil || last:
			f.note(fact{path: at, kind: kind})
			return
		}
		f.note(fact{path: at, kind: onTheWay})
	}
}

// note adds one fact; of two about one path that which says more counts.
func (f *Facts) note(n fact) {
	n.print = string(n.look(nil))
	if n.kind == deadline {
		n.print = ahead // also when it has passed: such a decision never holds
	}
	if f.known == nil {
		f.known = map[string]int{}
	}
	i, again := f.known[n.path]
	if !again {
		f.known[n.path] = len(f.list)
		f.list = append(f.list, n)
		return
	}
	if n.kind == content || f.list[i].kind == presence && n.kind == onTheWay {
		f.list[i] = n
	}
}

// look appends what is found now. Nothing there is an empty print.
func (n *fact) look(b []byte) []byte {
	if n.kind == mounts {
		return appendMounts(b)
	}
	if n.kind == deadline {
		if end, err := strconv.ParseInt(path.Base(n.path), 10, 64); err == nil && time.Now().Unix() < end {
			b = append(b, ahead...)
		}
		return b
	}
	var st unix.Stat_t
	if unix.Lstat(n.path, &st) != nil {
		return b
	}
	le := binary.LittleEndian
	if n.kind == presence && st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return le.AppendUint32(b, st.Mode&unix.S_IFMT)
	}
	b = le.AppendUint32(b, st.Mode)
	b = le.AppendUint32(b, st.Uid)
	b = le.AppendUint32(b, st.Gid)
	b = le.AppendUint64(b, uint64(st.Dev))
	b = le.AppendUint64(b, st.Ino)
	if n.kind == onTheWay {
		return b // what is in it changes with names that nobody looked up
	}
	b = le.AppendUint64(b, uint64(st.Nlink))
	b = le.AppendUint64(b, uint64(st.Size))
	b = le.AppendUint64(b, uint64(st.Mtim.Nano()))
	return le.AppendUint64(b, uint64(st.Ctim.Nano()))
}

// appendMounts appends a hash of the mount table, whose lines are the kernel's.
func appendMounts(b []byte) []byte {
	fd, err := unix.Open(mountTable, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return b
	}
	defer unix.Close(fd)
	h := fnv.New128a()
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Read(fd, buf)
		if n <= 0 || err != nil {
			return h.Sum(b)
		}
		h.Write(buf[:n])
	}
}

// Hold reports whether the same is found now.
func (f *Facts) Hold() bool {
	var room [128]byte
	for i := range f.list {
		if n := &f.list[i]; string(n.look(room[:0])) != n.print {
			return false
		}
	}
	return true
}

// settled is how long ago a file must have been changed to count as finished:
// times of files step with the clock's ticks, and a second change within the
// same one cannot be told from the first.
const settled = 2 * time.Second

// Settled reports whether no file that was read was changed shortly before now,
// or, by a clock that is wrong, after it.
func (f *Facts) Settled(now time.Time) bool {
	for _, n := range f.list {
		if n.kind != content || len(n.print) < 8 {
			continue
		}
		changed := int64(binary.LittleEndian.Uint64([]byte(n.print[len(n.print)-8:])))
		if now.UnixNano()-changed < int64(settled) {
			return false
		}
	}
	return true
}

// Same reports whether both are about the same paths, and found the same there.
func (f *Facts) Same(g *Facts) bool { return slices.Equal(f.list, g.list) }

// Has reports whether a path is among them.
func (f *Facts) Has(name string) bool {
	return slices.ContainsFunc(f.list, func(n fact) bool { return n.path == name })
}

func (f *Facts) pack(w *netstring.Packer) {
	w.Number(len(f.list))
	for _, n := range f.list {
		w.Text(n.path)
		w.Text(string(n.kind))
		w.Text(n.print)
	}
}

func (f *Facts) unpack(r *netstring.Unpacker) {
	count := r.Count()
	f.list = make([]fact, 0, count)
	for range count {
		n := fact{path: r.Text()}
		kind := r.Text()
		if len(kind) != 1 || !strings.HasPrefix(n.path, "/") {
			r.Fail()
			return
		}
		n.kind, n.print = kind[0], r.Text()
		f.list = append(f.list, n)
	}
}
