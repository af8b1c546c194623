package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ninefold/sessiond/guests"
)

// descendants are the processes below one.
func descendants(pid int) ([]int, error) {
	parents, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, name := range parents {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		if _, after, ok := strings.Cut(string(text), "\nPPid:\t"); ok {
			parent, _ := strconv.Atoi(strings.SplitN(after, "\n", 2)[0])
			own, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			children[parent] = append(children[parent], own)
		}
	}
	all := slices.Clone(children[pid])
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// guestID reports whether a word is a guest's id.
func guestID(word string) bool {
	n, err := strconv.Atoi(word)
	return err == nil && n >= guests.FirstID && n <= guests.LastID
}

// state is where guests are written down.
const state = "/var/lib/ninefold/guests"

// guestsOf are the ids of this machine's guests. What the kernel counts by ids is
// not only this machine's.
func guestsOf() (map[string]bool, error) {
	ours := map[string]bool{}
	for _, dir := range []string{"/taken", "/reports"} {
		names, err := filepath.Glob(state + dir + "/*")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			ours[name[strings.LastIndexAny(name, "-/")+1:]] = true
		}
	}
	return ours, nil
}

// guestsLeft is what guests could leave in a machine: mounts, cgroups, processes, IPC
// objects, keys, accounts, locks of their ids, units of their logins, and what the state
// directory says of them.
func guestsLeft() (string, error) {
	var left []string
	table, err := os.ReadFile("/proc/1/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(table)) {
		// A greeter's user has one, too.
		_, after, of := strings.Cut(line, " /run/user/")
		if id, _, _ := strings.Cut(after, " "); !of || guestID(id) {
			left = append(left, strings.TrimSuffix(line, "\n"))
		}
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), "ninefold-") {
			left = append(left, name)
		}
		return nil // groups come and go
	})
	if err != nil {
		return "", err
	}
	units, err := exec.Command("systemctl", "list-units", "--all", "--plain", "--no-legend", "--state=active,failed",
		"session-*.scope", "user-6*.slice", "user-runtime-dir@6*.service", "ninefold-guest-*.service").Output()
	if err != nil {
		return "", fmt.Errorf("list the units of logins: %w", err)
	}
	for line := range strings.Lines(string(units)) {
		// The logind of Debian 12 keeps a killed greeter's, with Ninefold or without.
		if !strings.HasPrefix(line, "session-") || strings.Contains(line, " guest-") {
			left = append(left, strings.TrimSuffix(line, "\n"))
		}
	}
	ours, err := guestsOf()
	if err != nil {
		return "", err
	}
	statuses, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, name := range statuses {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(text), "\nUid:\t")
		if f := strings.Fields(after); len(f) > 0 && guestID(f[0]) || strings.HasPrefix(string(text), "Name:\tninefold-init\n") {
			left = append(left, string(text[:strings.IndexByte(string(text), '\n')]))
		}
	}
	for _, name := range []string{"/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg", "/proc/key-users"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(text)) {
			if slices.ContainsFunc(strings.Fields(strings.ReplaceAll(line, ":", " ")), func(word string) bool { return ours[word] }) {
				left = append(left, name+" "+line)
			}
		}
	}
	for _, pattern := range []string{"/run/userdb/*guest-*", "/run/userdb/.*guest-*", "/run/systemd/dynamic-uid/6*", state + "/taken/*", state + "/places/*",
		"/run/ninefold/guests/6*", "/run/user/6*", "/run/systemd/users/6*"} {
		names, _ := filepath.Glob(pattern)
		left = append(left, names...)
	}
	return strings.Join(left, "\n"), nil
}
