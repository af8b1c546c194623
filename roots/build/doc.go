// Package build makes an image from its recipe and lock: it fetches the
// packages, converts them, checks that they agree, runs the finishing steps
// over them in a sandbox and composes the result.
//
// Every part of that is kept under the digest of what it was made from, and
// records are written last, so a build that ends at any point leaves a store
// that works, and the next build goes on from there.
package build
