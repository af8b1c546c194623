// Package export writes an image of the store as one file, or as a directory: what
// the image and its ancestors hold, as one tree.
//
// The bytes depend on the image alone: entries are sorted by path, times, owners and
// attributes are those of the packages, and what a format asks for besides is fixed. A file
// appears whole or not at all. Only the squashfs form needs a program of the
// machine's.
package export
