package wire

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRequestsComeThroughAsTheyAre(t *testing.T) {
	whole := Request{
		Argv: []string{"printf", "a b", "", "line\nbreak", "\xff\xfe", "--", "$HOME"}, Dir: "/home/mia", Environment: []string{"TERM=xterm", "LANG=C"},
		User: "mia", In: "3", Streams: [3]Stream{Passed, OwnTerminal, Null}, File: 2, Detach: true, Explain: true, Quiet: true,
	}
	for _, r := range []Request{whole, {}, {Argv: []string{"true"}}, {Argv: []string{"id"}, Guest: "~mine", Streams: [3]Stream{Passed, Passed, OwnTerminal}, Quiet: true},
		{Argv: []string{"enter", "foo"}, Context: true}} {
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeRequest(b); err != nil || !reflect.DeepEqual(*got, r) {
			t.Errorf("got %+v %v, want %+v", got, err, r)
		}
	}
	if n := whole.FDs(); n != 3 {
		t.Errorf("%d descriptors belong to one stream, the directory and the file", n)
	}
	for name, r := range map[string]Request{
		"a NUL":         {Argv: []string{"a\x00b"}},
		"one too long":  {Argv: []string{"a", strings.Repeat("x", MaxArgument+1)}},
		"all too long":  {Argv: slicesOf(strings.Repeat("x", MaxArgument), 20)},
		"a long guest":  {Guest: strings.Repeat("x", maxProfile+1)},
		"much of a dir": {Dir: strings.Repeat("x", maxLength)},
	} {
		if _, err := r.Encode(); !errors.Is(err, ErrBad) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func slicesOf(s string, n int) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

func TestRequestsAreStrict(t *testing.T) {
	streams := string([]byte{0, 0, 0})
	field := func(parts ...any) []byte {
		var e encoder
		for i := 0; i < len(parts); i += 2 {
			e.field(uint32(parts[i].(int)), parts[i+1].(string))
		}
		return e.b
	}
	for name, b := range map[string][]byte{
		"empty":                nil,
		"cut off":              {1, 0, 0},
		"longer than it is":    append(field(tagStreams, streams), 1, 0, 0, 0, 255, 255, 255, 255),
		"an unknown field":     field(tagStreams, streams, 99, "x"),
		"a field twice":        field(tagStreams, streams, tagUser, "a", tagUser, "root"),
		"two streams":          field(tagStreams, "\x00\x00"),
		"a kind of stream":     field(tagStreams, "\x00\x00\x03"),
		"unknown flags":        field(tagStreams, streams, tagFlags, "\xff\x00\x00\x00"),
		"a short number":       field(tagStreams, streams, tagFile, "\x01"),
		"a file of nothing":    field(tagStreams, streams, tagArgument, "a", tagFile, "\x01\x00\x00\x00"),
		"a NUL in an argument": field(tagStreams, streams, tagArgument, "a\x00"),
		"a guest's user":       field(tagStreams, streams, tagGuest, "guest", tagUser, "root"),
		"a guest's directory":  field(tagStreams, streams, tagGuest, "guest", tagDir, "/"),
		"a context's user":     field(tagStreams, streams, tagArgument, "list", tagFlags, string(order.AppendUint32(nil, flagContext)), tagUser, "root"),
		"a guest's context":    field(tagStreams, streams, tagArgument, "list", tagFlags, string(order.AppendUint32(nil, flagContext)), tagGuest, "guest"),
		"no word of a context": field(tagStreams, streams, tagFlags, string(order.AppendUint32(nil, flagContext))),
		"a nameless profile":   field(tagStreams, streams, tagGuest, ""),
		"a nameless program":   field(tagStreams, streams, tagArgument, ""),
		"too long an argument": field(tagStreams, streams, tagArgument, strings.Repeat("x", MaxArgument+1)),
	} {
		if _, err := DecodeRequest(b); !errors.Is(err, ErrBad) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// pair is a conversation.
func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = Dial(l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); c.Close() })
	return a, &Conn{Socket: c}
}

func TestFramesBringTheirDescriptors(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	request := &Request{Argv: []string{strings.Repeat("x", MaxArgument)}, Streams: [3]Stream{Null, Passed, Null}}
	sent := make(chan error, 1)
	go func() {
		err := a.SendRequest(request, []*os.File{w})
		sent <- errors.Join(err, a.Send(Event{Kind: Signal, Number: 15}), w.Close())
	}()
	f, _, err := b.Receive(nil)
	if err != nil || f.Kind != Run || len(f.FDs) != 1 {
		t.Fatalf("%+v %v", f.Kind, err)
	}
	if got, err := DecodeRequest(f.Payload); err != nil || !reflect.DeepEqual(got, request) {
		t.Error("the request changed on the way")
	}
	if _, err := unix.Write(int(f.FDs[0]), []byte("through")); err != nil {
		t.Fatal(err)
	}
	f.Close()
	buf := make([]byte, 16)
	if n, err := r.Read(buf); err != nil || string(buf[:n]) != "through" {
		t.Errorf("%q %v", buf[:n], err)
	}
	g, _, err := b.Receive(nil)
	if v, derr := DecodeEvent(g.Kind, g.Payload); err != nil || derr != nil || v.Number != 15 {
		t.Errorf("%+v %v %v", v, err, derr)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestDescriptorsThatDoNotBelong: more, fewer, and hidden behind the head.
func TestDescriptorsThatDoNotBelong(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	head := func(fds uint32) []byte {
		b := make([]byte, headLen)
		order.PutUint32(b, magic)
		order.PutUint16(b[4:], version)
		order.PutUint16(b[6:], uint16(Go))
		order.PutUint32(b[12:], fds)
		return b
	}
	before := countFDs(t)
	for name, c := range map[string]struct {
		says uint32
		send int
	}{"one that is not told of": {0, 1}, "one that is not there": {1, 0}, "an index that is none": {1 << 31, 1}, "more than fit": {MaxFDs + 1, MaxFDs + 1}, "many": {0, 200}} {
		a, b := pair(t)
		fds := make([]int, c.send)
		for i := range fds {
			fds[i] = int(null.Fd())
		}
		var control []byte
		if c.send > 0 {
			control = unix.UnixRights(fds...)
		}
		if _, err := a.sendmsg(head(c.says), control); err != nil {
			t.Fatal(err)
		}
		g, _, err := b.Receive(nil)
		if !errors.Is(err, ErrBad) {
			t.Errorf("%s: got %v", name, err)
		}
		g.Close()
		a.Close()
		b.Close()
	}
	if after := countFDs(t); after > before {
		t.Errorf("%d descriptors stay open", after-before)
	}
}

func TestDescriptorsAreBoundedForTheWholeHead(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	a, b := pair(t)
	defer b.Close()
	// All but the last byte: the answer must not wait for a whole head.
	for i := range headLen - 1 {
		if _, err := a.sendmsg([]byte{byte(i)}, unix.UnixRights(int(null.Fd()))); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	f, _, err := b.Receive(nil)
	f.Close()
	if !errors.Is(err, ErrBad) {
		t.Errorf("%d descriptors with one head: %v", headLen-1, err)
	}
}

func countFDs(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func FuzzDecodeRequest(f *testing.F) {
	b, err := (&Request{Argv: []string{"a", "b"}, Dir: "/", User: "mia", File: 1, Detach: true}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:9])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			return // what one may not send
		}
		if back, err := DecodeRequest(again); err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%+v becomes %+v: %v", r, back, err)
		}
	})
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add(uint16(Ended), Event{Kind: Ended, Text: "x", Code: 3}.encode())
	f.Fuzz(func(t *testing.T, k uint16, b []byte) {
		v, err := DecodeEvent(Kind(k), b)
		if err != nil {
			return
		}
		if w, err := DecodeEvent(v.Kind, v.encode()); err != nil || w != v && !bytes.Contains(v.encode(), []byte("...")) {
			t.Errorf("%+v becomes %+v: %v", v, w, err)
		}
	})
}
