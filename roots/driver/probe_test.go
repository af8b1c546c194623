package driver

import (
	"os"
	"testing"
)

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	best, report := Probe(dir)
	for _, f := range report {
		t.Logf("%+v", f)
	}
	if os.Geteuid() == 0 && best == nil {
		t.Error("root can use no driver")
	}
	after, _ := os.ReadFile("/proc/self/mountinfo")
	if string(before) != string(after) {
		t.Error("the probe left a mount")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("the probe left %v", left)
	}
}
