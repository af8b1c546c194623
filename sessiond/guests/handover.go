package guests

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/journal"
)

// DefaultPool is where a pool of prepared sessions is asked, by root alone.
const DefaultPool = "/run/ninefold/guest-pool"

// offer says of a prepared session what does not follow from its plan. With it come
// three files: the lock of the guest's id, the first process, and its lifeline. Of a
// guest without a session it is the id alone, and its lock.
type offer struct {
	UID    uint32 `json:"uid"`
	PID    int    `json:"pid,omitempty"`
	Cgroup string `json:"cgroup,omitempty"`
	Same   string `json:"same,omitempty"` // as sameSession has it
	// Login is the login program of a guest who logs in.
	Login journal.Process `json:"login,omitzero"`
}

// maxMessage bounds a question and an offer.
const maxMessage = 4096

// sameSession names sessions that are alike but for whose they are, so that one that
// somebody else made is taken only if it is what would have been made here and now.
// The terminal in front of somebody is nothing of the session's.
func (g *Guests) sameSession(s *decided.Session) string {
	p := &plan.Plan{Class: s.Plan.Class}
	for _, op := range s.Plan.Ops {
		if e, ok := op.(plan.Environment); !ok || e.Name != "TERM" {
			p.Ops = append(p.Ops, op)
		}
	}
	dir, err := filepath.Abs(g.dir)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{dir, s.Profile, fmt.Sprint(s.Guest), plan.Print(p)}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// anySession names sessions of a profile, whatever they are made of, for who has it
// made sure afterwards that it is what would be made.
func (g *Guests) anySession(profile string) string {
	dir, err := filepath.Abs(g.dir)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{dir, profile}, "\x00")))
	return "any " + hex.EncodeToString(sum[:])
}

// takePrepared asks the pool for a session that is like s; nil when it has none, or
// when there is no pool.
func (g *Guests) takePrepared(s *decided.Session) *Prepared {
	text, files := g.ask(g.sameSession(s), poolTime)
	p, err := g.adopt(s, text, files)
	if err != nil {
		closeAll(files)
		return nil
	}
	return p
}

// ask asks the pool, and waits so long for either end of its answer; there is none
// when nobody has what is asked for.
func (g *Guests) ask(question string, long time.Duration) (text []byte, files []*os.File) {
	if g.pool == "" {
		return nil, nil
	}
	conn, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil
	}
	defer unix.Close(conn)
	// Whoever has it answers at once, or is not waited for.
	patience := unix.NsecToTimeval(int64(long))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if unix.SetsockoptTimeval(conn, unix.SOL_SOCKET, option, &patience) != nil {
			return nil, nil
		}
	}
	if unix.Connect(conn, &unix.SockaddrUnix{Name: g.pool}) != nil {
		return nil, nil
	}
	if who, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil || who.Uid != 0 {
		return nil, nil
	}
	if unix.Sendto(conn, []byte(question), unix.MSG_NOSIGNAL, nil) != nil {
		return nil, nil
	}
	text, files, _ = receive(conn)
	return text, files
}

// receive reads an offer.
func receive(conn int) (text []byte, files []*os.File, err error) {
	text, control := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(3*4))
	n, cn, _, _, err := unix.Recvmsg(conn, text, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, nil, os.NewSyscallError("recvmsg", err)
	}
	return text[:n], received(control[:cn]), nil
}

func received(control []byte) (files []*os.File) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "from the pool"))
		}
	}
	return files
}

// readOffer reads an offer, with which the files belong to it.
func readOffer(text []byte, files []*os.File) (o offer, err error) {
	if json.Unmarshal(text, &o) != nil || o.UID < FirstID || o.UID > LastID {
		return o, errOffer
	}
	switch {
	case o.PID == 0 && len(files) == 1, o.PID > 1 && len(files) == 3:
		return o, nil
	}
	return o, errOffer
}

func (o offer) send(conn int, files ...*os.File) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	return os.NewSyscallError("sendmsg", unix.Sendmsg(conn, text, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL))
}

// adopt makes the offered session this process's to keep.
func (g *Guests) adopt(s *decided.Session, text []byte, files []*os.File) (*Prepared, error) {
	o, err := readOffer(text, files)
	if err != nil || o.PID == 0 {
		return nil, errOffer
	}
	guest, err := g.takeOver(o.UID, files[0], Waiting)
	if err != nil {
		return nil, err
	}
	p := &Prepared{guest: guest, plan: guest.plan(s), command: s.Command}
	p.Admit()
	p.session, err = namespaces.Adopt(p.plan, namespaces.Held{PID: o.PID, Cgroup: o.Cgroup, Pidfd: files[1], Lifeline: files[2]})
	if err != nil {
		return nil, errors.Join(err, guest.End())
	}
	return p, nil
}

// handOver sends p through conn to whom it then is.
func (p *Prepared) handOver(conn int, same string) error {
	held, err := p.session.HandOver()
	if err != nil {
		return err
	}
	defer held.Close()
	o := offer{UID: p.guest.UID, PID: held.PID, Cgroup: held.Cgroup, Same: same}
	return o.send(conn, p.guest.id.lock, held.Pidfd, held.Lifeline)
}

// letGo leaves p to whom it was handed over, and waits for its end.
func (p *Prepared) letGo() {
	p.once.Do(func() {
		_ = p.guest.id.lock.Close() // it stays locked by the other's copy
		p.err = p.session.LetGo()
	})
}
