package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/door"
)

const (
	// atOnce is one connection less than a user may have: what hangs there
	// leaves a place for the others.
	atOnce = 7
	// hungUp bounds how long the daemon may leave a connection open: it allows
	// a second, and the machine is busy.
	hungUp = 30 * time.Second
	// unbelieved is in every text that is sent, and must be in no log.
	unbelieved = "nobody-believes-this"
)

// knocks are what comes to the door. A message that is none must get no answer.
var knocks = []struct {
	name    string
	weight  int
	message func(whole []byte, r *rand.Rand) []byte // nil: nothing is sent
	sound   bool                                    // it is a request
}{
	{"sound", 15, func(whole []byte, _ *rand.Rand) []byte { return whole }, true},
	{"malformed", 30, malformed, false},
	{"truncated", 20, func(whole []byte, r *rand.Rand) []byte { return whole[:1+r.IntN(len(whole)-1)] }, false},
	{"oversized", 20, func(whole []byte, r *rand.Rand) []byte { return append(whole, make([]byte, 1+r.IntN(1<<16))...) }, false},
	{"random", 13, func(_ []byte, r *rand.Rand) []byte { return noise(1+r.IntN(2048), r) }, false},
	{"slow", 2, nil, false},
}

// malformed breaks what no request may be without: the header's three constants,
// or text that is text.
func malformed(b []byte, r *rand.Rand) []byte {
	switch at := r.IntN(16); {
	case at < 10: // magic, length, version
		b[at] ^= byte(1 + r.IntN(255))
	case at < 13: // a string without an end: the user's, which 256 bytes hold
		for i := range 256 {
			b[16+i] = 'x'
		}
	case at == 13: // something behind the end
		b[16+255-1] = 'x'
	default: // no text
		b[16] = "\x1b\x01\xff"[r.IntN(3)]
	}
	return b
}

func noise(n int, r *rand.Rand) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// knock is what this program does inside of a machine: it makes so many
// connections to the door, and fails at the first that is not dealt with.
func knock(args []string) error {
	if len(args) != 1 {
		return errors.New("knock COUNT")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	// Of root's requests none may make a view: there it is a question of nobody's.
	request := door.Request{Op: door.Session, UID: 1, User: unbelieved, Service: unbelieved, Choice: unbelieved}
	whole, err := request.Encode()
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	errs := make([]error, atOnce)
	for w := range atOnce {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(os.Getuid()), uint64(w)))
			for i := w; i < n && errs[w] == nil; i += atOnce {
				errs[w] = once(whole, r)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// once makes one connection. Root's are all served; others' may be hung up on.
func once(whole []byte, r *rand.Rand) error {
	k := knocks[0]
	for left, i := r.IntN(100), 0; left >= 0; i++ {
		k = knocks[i]
		left -= k.weight
	}
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: door.Path, Net: "unixpacket"})
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(hungUp))
	if k.message != nil {
		var rights []byte
		if r.IntN(4) == 0 { // it gets descriptors, too, and must not keep them
			rights = unix.UnixRights(0, 1, 2)
		}
		// It may be hung up on before.
		_, _, _ = c.WriteMsgUnix(k.message(append([]byte(nil), whole...), r), rights, nil)
	}
	answer, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*door.MaxFDs))
	got, with, _, _, err := c.ReadMsgUnix(answer, control)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("a %s message: the connection is there after %s", k.name, hungUp)
	case with > 0:
		return fmt.Errorf("a %s message is answered with descriptors", k.name)
	case got > 0 && !k.sound:
		return fmt.Errorf("a %s message is answered with %d bytes", k.name, got)
	case got <= 0 && k.sound && os.Getuid() == 0:
		return fmt.Errorf("a %s message of root's is not answered: %w", k.name, errors.Join(err, io.EOF))
	}
	return nil
}
