// Package desktops proves that whole desktops run in logins: images built from
// Debian's packages by the programs in bin/, logged in to on booted Debian 12
// and 13 machines by their greeters, with the keyboard that a person would
// use. A picture alone proves nothing: it looks the same with half of the
// desktop in the machine's root.
//
// A plain go test runs a short list; NINEFOLD_DESKTOPS=all (make desktops) and
// NINEFOLD_DESKTOPS=long (make desktops LONG=1) run more, and compare the time
// of a login with the same desktop installed on the machine. Pictures are left
// in out/desktops.
package desktops
