// Package languages reads the lock files of languages' package managers: which files
// they name, where those are, and by which hash each is known. The files are laid out so
// that the manager itself installs them without a network. It is pure: who calls reads and
// fetches.
package languages
