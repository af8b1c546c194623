package entrance

import (
	"errors"
	"testing"
)

const cookies = "\x01\x00\x00\x07machine\x00\x010\x00\x12MIT-MAGIC-COOKIE-1\x00\x04\x01\x02\x03\x04" + "\x00\x00\x00\x04\x7f\x00\x00\x01\x00\x00\x00\x01x\x00\x00"

func TestCookiesHoldAnywhere(t *testing.T) {
	want := "\xff\xff\x00\x00\x00\x00\x00\x12MIT-MAGIC-COOKIE-1\x00\x04\x01\x02\x03\x04" + "\xff\xff\x00\x00\x00\x00\x00\x01x\x00\x00"
	if got, err := anywhere([]byte(cookies)); err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	for n := 1; n < len(cookies); n++ {
		if _, err := anywhere([]byte(cookies[:n])); err == nil && n != 40 {
			t.Errorf("the first %d bytes were taken", n)
		} else if err != nil && !errors.Is(err, errCookie) {
			t.Error(err)
		}
	}
}

func FuzzCookies(f *testing.F) {
	f.Add([]byte(cookies))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := anywhere(b)
		if err != nil {
			return
		}
		if again, err := anywhere(out); err != nil || string(again) != string(out) {
			t.Errorf("%q is not taken as it came out: %q, %v", out, again, err)
		}
		if len(out) > len(b) {
			t.Errorf("%d bytes became %d", len(b), len(out))
		}
	})
}
