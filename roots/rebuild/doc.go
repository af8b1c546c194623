// Package rebuild compares two builds of one image, each in a store of its own,
// and says in what they differ and what made that. It builds nothing.
package rebuild
