// Package finish does to a composed tree what install scripts would have done:
// accounts, alternatives, caches and the like.
//
// Each step names the entries that it reads, and its result is a plain package
// of its own, kept under the digest of those entries. So a changed package
// reruns only the steps that read something of it, and the same tree gives the
// same bytes on every machine. A step is written in Go where that is simple
// and exact; the others run the image's own tool in a Sandbox.
package finish
