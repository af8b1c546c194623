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

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
)

// DefaultPool is where a pool of prepared sessions is asked, by root alone.
const DefaultPool = "/run/ninefold/guest-pool"

// offer says of a prepared session what does not follow from its plan. With it come
// three files: the lock of the guest's id, the first process, and its lifeline.
type offer struct {
	UID    uint32 `json:"uid"`
	PID    int    `json:"pid"`
	Cgroup string `json:"cgroup"`
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

// takePrepared asks the pool for a session that is like s; nil when it has none, or
// when there is no pool.
func (g *Guests) takePrepared(s *decided.Session) *Prepared {
	if g.pool == "" {
		return nil
	}
	conn, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(conn)
	// Whoever has it answers at once, or is not waited for.
	patience := unix.NsecToTimeval(int64(poolTime))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if unix.SetsockoptTimeval(conn, unix.SOL_SOCKET, option, &patience) != nil {
			return nil
		}
	}
	if unix.Connect(conn, &unix.SockaddrUnix{Name: g.pool}) != nil {
		return nil
	}
	if who, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil || who.Uid != 0 {
		return nil
	}
	if unix.Sendto(conn, []byte(g.sameSession(s)), unix.MSG_NOSIGNAL, nil) != nil {
		return nil
	}
	text, control := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(3*4))
	n, cn, _, _, err := unix.Recvmsg(conn, text, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil
	}
	files := received(control[:cn])
	p, err := g.adopt(s, text[:n], files)
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil
	}
	return p
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

var errOffer = errors.New("the pool offers what is no session")

// adopt makes the offered session this process's to keep.
func (g *Guests) adopt(s *decided.Session, text []byte, files []*os.File) (*Prepared, error) {
	var o offer
	if json.Unmarshal(text, &o) != nil || len(files) != 3 || o.UID < FirstID || o.UID > LastID || o.PID <= 1 {
		return nil, errOffer
	}
	guest, err := g.takeOver(o.UID, files[0], Waiting)
	if err != nil {
		return nil, err
	}
	p := &Prepared{guest: guest, plan: guest.plan(s), command: s.Command}
	p.session, err = namespaces.Adopt(p.plan, namespaces.Held{PID: o.PID, Cgroup: o.Cgroup, Pidfd: files[1], Lifeline: files[2]})
	if err != nil {
		return nil, errors.Join(err, guest.End())
	}
	return p, nil
}

// handOver sends p through conn to whom it then is.
func (p *Prepared) handOver(conn int) error {
	held, err := p.session.HandOver()
	if err != nil {
		return err
	}
	defer held.Close()
	text, err := json.Marshal(offer{UID: p.guest.UID, PID: held.PID, Cgroup: held.Cgroup})
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(p.guest.id.lock.Fd()), int(held.Pidfd.Fd()), int(held.Lifeline.Fd()))
	return unix.Sendmsg(conn, text, rights, nil, unix.MSG_NOSIGNAL)
}

// letGo leaves p to whom it was handed over, and waits for its end.
func (p *Prepared) letGo() {
	p.once.Do(func() {
		_ = p.guest.id.lock.Close() // it stays locked by the other's copy
		p.err = p.session.LetGo()
	})
}
