// Package vm boots virtual machines, and runs tests of other packages on Debian's own kernels, in a
// virtual machine without network: Debian 12's 6.1, which has no file-backed
// erofs and no data-only layers, and Debian 13's 6.12. Times inside mean
// nothing (there is no hardware virtualisation to rely on); behaviour does.
package vm
