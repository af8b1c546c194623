// Package namespaces makes a session out of a plan: it builds the view in
// namespaces of its own, tries what must fail, starts the session's first
// process and takes everything down again.
//
// Everything is built in plain Go on one thread that is thrown away
// afterwards, with mounts that no other process ever sees: the host's mount
// table gains no line, and when the process dies at any moment the kernel
// drops what was built. What outlives it on purpose is only the kept upper
// layer of a plan that names one.
package namespaces
