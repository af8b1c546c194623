// Package attack is the list of what was tried against the boundaries that
// docs/security.md promises, each try made by a real program in a real session:
// the name, what is tried, and what must happen. It runs as root.
//
// The test binary is its own attacker: it is copied to where a session on the
// host's root finds it, and runs there the try that its argument names
// (inside_test.go). A try says whether it got through, or what held it.
package attack
