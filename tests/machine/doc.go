// Package machine boots whole Debian machines to log in to: systemd, logind,
// sshd and all, in a container that systemd-nspawn makes on a tree which is
// built once by mmdebstrap and cached. What a machine writes is thrown away
// with it. Nothing of it is to be seen on the host: its mounts are in a mount
// namespace, its processes in a PID namespace that ends with the launcher, and
// its cgroups below one that is removed.
//
// Tests have the machines of both releases side by side (testing.T.Parallel), since
// a login waits more than it computes.
//
// A machine has no network but its own loopback. Ninefold gets into it as it
// gets into any machine: see Install.
package machine
