// Package kernel is the only package that makes the syscalls of mounting,
// namespaces, credentials and loop devices. It holds no policy: each function
// does one kernel operation on file descriptors, or an fd-anchored name, and
// returns an *Error that says what failed in words.
//
// It needs the mount API with file descriptors (Linux 5.12 for mount_setattr);
// what came later is probed for and replaced where an older way exists.
package kernel
