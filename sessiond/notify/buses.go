package notify

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"ninefold/sessiond/process"
)

// What is looked at: a session has no more processes than a guest may have, an
// environment is seldom longer, and a desktop has one bus.
const (
	maxProcesses   = 4096
	maxEnvironment = 128 << 10
	maxAddress     = 1 << 10
	maxBuses       = 8
)

// addressVariable has a session bus's address (dbus-daemon(1)). A desktop that
// started its bus by itself has it in the environment of its programs alone.
const addressVariable = "DBUS_SESSION_BUS_ADDRESS="

// Buses returns the addresses of the session buses of the processes in proc (proc(5))
// whose environment the caller can read: in a session with a PID namespace those
// of its own user there. The one whose first process has the lowest number is the first.
func Buses(proc string) []string {
	pids, err := process.In(proc, maxProcesses)
	if err != nil {
		return nil
	}
	slices.Sort(pids)
	var buses []string
	for _, pid := range pids {
		a := address(environment(filepath.Join(proc, strconv.Itoa(pid), "environ")))
		if a != "" && !slices.Contains(buses, a) {
			buses = append(buses, a)
		}
		if len(buses) == maxBuses {
			break
		}
	}
	return buses
}

// environment reads what a process was started with; nothing for one that is gone
// or another user's.
func environment(name string) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, maxEnvironment))
	return b
}

// address is that of the session bus in an environment, whose variables end with NUL
// each; "" is none.
func address(environment []byte) string {
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if value, ok := bytes.CutPrefix(variable, []byte(addressVariable)); ok && len(value) <= maxAddress {
			return string(value)
		}
	}
	return ""
}
