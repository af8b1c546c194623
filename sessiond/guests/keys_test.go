package guests

import (
	"reflect"
	"testing"
)

func TestKeysOfAGuest(t *testing.T) {
	text := "0a1b2c3d I--Q---     2 perm 1f3f0000 61200 65534 keyring   _uid.61200: empty\n" +
		"11111111 I--Q---     1 perm 3f030000 61201 61201 keyring   _ses: 1\nshort 61200\n" +
		"zzzz I--Q--- 2 perm 1f3f0000 61200 65534 keyring x: empty\n"
	if got := keysOf([]byte(text), 61200); !reflect.DeepEqual(got, []int{0x0a1b2c3d}) {
		t.Errorf("got %x", got)
	}
}
