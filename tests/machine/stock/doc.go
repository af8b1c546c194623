// Package stock runs login tests of package machine on Debian's own kernels,
// in virtual machines made of the same trees: Debian 12's 6.1 and 13's 6.12. It
// is a package of its own because it takes minutes of emulation.
package stock
