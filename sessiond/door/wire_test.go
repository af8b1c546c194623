package door

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ninefold/tests/needs"
)

// layout prints what the C side fixes, in the terms of the constants here.
const layout = `#include <stddef.h>
#include <stdio.h>
#include "door.h"
#define Q(f) printf("%zu %zu\n", offsetof(struct door_request, f), sizeof ((struct door_request *)0)->f)
#define R(f) printf("%zu %zu\n", offsetof(struct door_reply, f), sizeof ((struct door_reply *)0)->f)
int main(void)
{
	printf("%s %u %u %u %u %zu %zu\n", DOOR_PATH, DOOR_MAGIC, DOOR_VERSION, DOOR_TIMEOUT_MS, DOOR_MAX_FDS,
	       sizeof(struct door_request), sizeof(struct door_reply));
	printf("%d %d %d %d %d %d %d %d\n", DOOR_PREPARE, DOOR_SESSION, DOOR_MANAGER, DOOR_JOIN, DOOR_PING, DOOR_CHOICES, DOOR_GUEST, DOOR_GUEST_SESSION);
	printf("%d %d %d\n", DOOR_ENTER, DOOR_HOST, DOOR_REFUSE);
	printf("%d %d %d %d %d %d %u %u\n", DOOR_FD_MOUNT, DOOR_FD_USER, DOOR_FD_PID, DOOR_FD_IPC, DOOR_FD_UTS, DOOR_FD_NET,
	       DOOR_VESTIBULE, DOOR_NO_NEW_PRIVS);
	Q(magic); Q(length); Q(version); Q(op); Q(uid);
	Q(user); Q(service); Q(tty); Q(rhost); Q(choice); Q(session); Q(session_class);
	R(magic); R(length); R(version); R(op); R(verdict); R(flags); R(nfds); R(fds); R(view); R(profile); R(message); R(environment);
}
`

func TestLayout(t *testing.T) {
	const cc = "cc"
	needs.Programs(t, cc)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "layout.c"), []byte(layout), 0o600); err != nil {
		t.Fatal(err)
	}
	header, err := filepath.Abs("../../pamhook")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "layout")
	if out, err := exec.Command(cc, "-I", header, "-o", program, filepath.Join(dir, "layout.c")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/run/ninefold/door 1380929348 1 1000 8 880 1760",
		"1 2 3 4 5 6 7 8", "1 2 3", "1 2 3 4 5 6 1 2",
		"0 4", "4 4", "8 2", "10 2", "12 4",
	}
	for _, s := range requestStrings {
		want = append(want, itoa(s.off)+" "+itoa(s.width))
	}
	want = append(want, "0 4", "4 4", "8 2", "10 2", itoa(offVerdict)+" 4", itoa(offFlags)+" 4", itoa(offNFDs)+" 4", itoa(offFDs)+" 8",
		itoa(offView)+" 64", itoa(offProfile)+" 128", itoa(offMessage)+" 512", itoa(offEnvironment)+" "+itoa(maxEnvironment))
	if got := strings.TrimSpace(string(out)); got != strings.Join(want, "\n") {
		t.Errorf("C says\n%s\nGo says\n%s", got, strings.Join(want, "\n"))
	}
}

func itoa(n int) string {
	var b []byte
	for ; n > 0 || b == nil; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

func TestRequestsAreStrict(t *testing.T) {
	whole := Request{Version: 1, Op: Session, UID: 1000, User: "mia", Service: "sshd", TTY: "/dev/pts/3", Rhost: "2001:db8::1", Choice: "dev", Session: "c2", Class: "user"}
	b, err := whole.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeRequest(b); err != nil || got != whole {
		t.Errorf("got %+v %v", got, err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"short":             func(b []byte) []byte { return b[:len(b)-1] },
		"long":              func(b []byte) []byte { return append(b, 0) },
		"empty":             func([]byte) []byte { return nil },
		"magic":             func(b []byte) []byte { b[0] ^= 1; return b },
		"length":            func(b []byte) []byte { b[4] ^= 1; return b },
		"version":           func(b []byte) []byte { b[8] = 2; return b },
		"op":                func(b []byte) []byte { b[10] = 9; return b },
		"op 0":              func(b []byte) []byte { b[10] = 0; return b },
		"endless name":      func(b []byte) []byte { copy(b[16:], strings.Repeat("x", 256)); return b },
		"hidden tail":       func(b []byte) []byte { b[16+10] = 'x'; return b },
		"not UTF-8":         func(b []byte) []byte { b[16] = 0xff; return b },
		"escape sequence":   func(b []byte) []byte { b[336] = 0x1b; return b },
		"newline in choice": func(b []byte) []byte { b[656+1] = '\n'; return b },
		"C1 control":        func(b []byte) []byte { b[656], b[657] = 0xc2, 0x9b; return b },
	} {
		if _, err := DecodeRequest(change(bytes.Clone(b))); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := (Request{User: strings.Repeat("a", 256)}).Encode(); err == nil {
		t.Error("a name that does not fit was cut")
	}
}

func TestReplies(t *testing.T) {
	r := Reply{Op: Session, Verdict: Enter, Flags: NoNewPrivs, FDs: []FDKind{FDMount, FDIPC}, View: "1000-abc", Profile: "dev", Message: "hello", Environment: []string{"A=1", "B="}}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeReply(b); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v %v", got, err)
	}
	long := Reply{Verdict: Host, Message: "a\x1b[31m\n" + strings.Repeat("é", 600)}
	if b, err = long.Encode(); err != nil {
		t.Fatal(err)
	}
	got, err := DecodeReply(b)
	if err != nil || strings.ContainsAny(got.Message, "\x1b\n") || !strings.HasSuffix(got.Message, "é…") {
		t.Errorf("got %q %v", got.Message, err)
	}
	fits := Reply{Environment: []string{"A=" + strings.Repeat("x", maxEnvironment-4)}}
	if _, err := fits.Encode(); err != nil {
		t.Error(err)
	}
	fits.Environment[0] += "x"
	if _, err := fits.Encode(); err == nil {
		t.Error("an environment that does not fit was cut")
	}
}

func FuzzDecodeRequest(f *testing.F) {
	b, err := Request{Op: Prepare, UID: 1000, User: "mia"}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:16])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%+v: %v", r, err)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	b, err := Reply{Verdict: Enter, FDs: []FDKind{FDMount}, Environment: []string{"A=1"}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = DecodeReply(b) })
}
