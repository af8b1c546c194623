package program

import "testing"

func TestClosed(t *testing.T) {
	for name, want := range map[string]bool{"/usr/bin/env": false, "/usr/bin/nothing-of-that-name": false, "/proc/1/fd/nothing": true, "/proc/1/fd/0": true, "/proc/1/fd": false} {
		if got := Closed(name, 12345, []uint32{12345}); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if Closed("/proc/1/fd/nothing", 0, nil) {
		t.Error("a directory is closed to root")
	}
}
