// Bench sets what Ninefold costs beside what other tools cost, on this machine
// and in one run: every tool does the same job, rounds are interleaved, and
// medians are compared. It prints one table; each row with a target says
// whether it was met. It runs as root: make bench.
//
// The job of the session rows: a root composed by overlay from two lowers and a
// tmpfs upper, mount, pid, ipc and uts namespaces, /proc, a minimal /dev, two
// binds and two read-only binds, true, and everything taken down.
//
// Nothing of it is left on the host: the bench works in a mount namespace and a
// cgroup of its own.
package main
