package decided

import (
	"encoding/hex"
	"errors"
	"hash/fnv"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/netstring"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/origin"
)

// Version changes when the same inputs would be decided otherwise, or a record
// would be read otherwise. That of the programs need not change it: the program
// that decides is one of the facts.
const version = 2

const (
	magic = "ninefold decided session"
	// Suffix is that of a record's file name.
	Suffix    = ".record"
	maxRecord = 8 << 20
)

// Question is what a session is asked for. Two starts with the same question, on
// a machine on which the same facts hold, are decided alike.
type Question struct {
	Config, State string // as given; "" are the defaults
	Profile       string
	User          string // as given; "" is the caller
	UID           int    // of the caller
	Terminal      string // its type
	Kernel        string // its release
	First         string // the file name of the first process
	Guest         bool   // the session is to be a guest's, whatever the profile says
}

// Ask completes q with what the calling process and the kernel add.
func (q Question) Ask() Question {
	q.UID = unix.Getuid()
	var u unix.Utsname
	_ = unix.Uname(&u) // fails for a bad address alone
	q.Kernel = unix.ByteSliceToString(u.Release[:])
	return q
}

// keepable reports whether decisions about q can be found again: a relative
// directory means another one elsewhere.
func (q Question) keepable() bool {
	whole := func(dir string) bool { return dir == "" || strings.HasPrefix(dir, "/") && path.Clean(dir) == dir }
	return whole(q.Config) && whole(q.State) && q.First != ""
}

func (q Question) text() string {
	w := &netstring.Packer{}
	for _, s := range []string{q.Config, q.State, q.Profile, q.User, q.Terminal, q.Kernel, q.First} {
		w.Text(s)
	}
	w.Number(q.UID)
	w.Flag(q.Guest)
	return w.String()
}

// File is the name of q's record below dir, the directory of records.
func (q Question) file(dir string) string {
	h := fnv.New64a()
	h.Write([]byte(q.text()))
	return filepath.Join(dir, hex.EncodeToString(h.Sum(nil))+Suffix)
}

// Dir is where the records of the state directory lie.
func Dir(state string) string { return filepath.Join(state, "derived", "decisions") }

// errRecord says that a record does not decode: of another version, or damaged.
var errRecord = errors.New("not a record of a decided session")

// checksum tells a record that a power cut left from a whole one. Who could
// write one on purpose could write anything else that root relies on.
func checksum(s string) string {
	h := fnv.New64a()
	h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil))
}

// encode is the inverse of decode.
func encode(q Question, s *Session, facts *Facts) []byte {
	w := &netstring.Packer{}
	w.Text(q.text())
	w.Text(s.Profile)
	w.Text(plan.Print(s.Plan))
	w.Texts(s.Command)
	w.Flag(s.Stay.Everywhere)
	w.Text(s.Stay.Home)
	w.Texts(s.Leases)
	w.Number(int(s.Guest))
	s.Watched.pack(w)
	facts.pack(w)
	body := w.String()
	head := &netstring.Packer{}
	head.Text(magic)
	head.Number(version)
	head.Text(checksum(body))
	return []byte(head.String() + body)
}

// decode reads a record. The question is that which it answers, as text; the
// plan is not read yet.
func decode(b []byte) (question, file string, s *Session, facts *Facts, err error) {
	text := string(b)
	head := netstring.Unpack(text)
	if head.Text() != magic || head.Number() != version {
		return "", "", nil, nil, errRecord
	}
	sum := head.Text()
	body := head.Rest()
	if checksum(body) != sum {
		return "", "", nil, nil, errRecord
	}
	return decodeBody(body)
}

func decodeBody(body string) (question, file string, s *Session, facts *Facts, err error) {
	r := netstring.Unpack(body)
	question = r.Text()
	s, facts = &Session{Profile: r.Text()}, &Facts{}
	file = r.Text()
	s.Command = r.Texts()
	s.Stay = Stay{Everywhere: r.Flag(), Home: r.Text()}
	s.Leases = r.Texts()
	s.Guest = uint32(r.Number())
	s.Watched.unpack(r)
	facts.unpack(r)
	if r.End() != nil {
		return "", "", nil, nil, errRecord
	}
	return question, file, s, facts, nil
}

// Keep keeps s, decided for q from facts, among the records in dir, unless it
// cannot be told apart from a decision on files that are just being changed. It
// is the caller's to have looked that everything is root's.
func Keep(dir string, q Question, s *Session, facts *Facts, write func(file string, b []byte) error) error {
	if !q.keepable() || !facts.Settled(time.Now()) || !facts.Hold() {
		return nil
	}
	return write(q.file(dir), encode(q, s, facts))
}

// Find returns what was decided for q, if it is among the records in dir and
// all of it still holds; nil otherwise. What it stands on is then held until the
// process ends.
func Find(dir string, q Question) *Session {
	// Whoever can change the directory could decide for root.
	if who, err := origin.Of(dir); !q.keepable() || err != nil || who != 0 {
		return nil
	}
	b := read(q.file(dir))
	if b == nil {
		return nil
	}
	question, text, s, facts, err := decode(b)
	if err != nil || question != q.text() {
		return nil
	}
	// Before anything is looked at, so that nothing is collected in between.
	if !hold(s.Leases) || !facts.Hold() || !s.Watched.Hold() {
		return nil
	}
	if s.Plan, err = plan.Parse(SourceName, []byte(text)); err != nil || s.Plan.Class != plan.Trusted && s.Guest == 0 {
		return nil
	}
	return s
}

// SourceName is what errors call the plan of a record.
const SourceName = "a kept decision"

// Holds reports whether the record in file still answers its question, for who
// clears up.
func Holds(b []byte) bool {
	_, _, s, facts, err := decode(b)
	return err == nil && facts.Hold() && s.Watched.Hold()
}

// read returns the regular file called name, which nobody but root may have
// written; nil when there is none.
func read(name string) []byte {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != 0 || st.Mode&0o077 != 0 || st.Size > maxRecord {
		return nil
	}
	b := make([]byte, st.Size)
	for at := 0; at < len(b); {
		n, err := unix.Read(fd, b[at:])
		if n <= 0 || err != nil {
			return nil
		}
		at += n
	}
	return b
}

// hold takes a shared lock of each file, as the store's leases are held, and
// keeps it for as long as the process lives. A file that is being removed, or
// locked for that, is not held.
func hold(files []string) bool {
	for _, name := range files {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return false
		}
		var st unix.Stat_t
		if unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) != nil || unix.Fstat(fd, &st) != nil || st.Nlink == 0 {
			unix.Close(fd)
			return false
		}
	}
	return true
}
