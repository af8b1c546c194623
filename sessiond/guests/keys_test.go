package guests

import (
	"reflect"
	"testing"
)

func TestKeysOfAGuest(t *testing.T) {
	text := "0a1b2c3d I--Q---     2 perm 1f3f0000 61200 65534 keyring   _uid.61200: empty\n" +
		"11111111 I--Q---     1 perm 3f030000 61201 61201 keyring   _ses: 1\nshort 61200\n" +
		"zzzz I--Q--- 2 perm 1f3f0000 61200 65534 keyring x: empty\n22222222 IR-Q--- 1 expd 3f030000 61200 61200 keyring _ses: 1\n"
	want := []key{{0x0a1b2c3d, "I--Q---", "keyring _uid.61200"}, {0x22222222, "IR-Q---", "keyring _ses"}}
	got := keysOf([]byte(text), 61200)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %x", got)
	}
	if said := got[0].String() + "; " + got[1].String(); said != "the key 0a1b2c3d (keyring _uid.61200); the key 22222222 (keyring _ses, dead)" {
		t.Error(said)
	}
}
