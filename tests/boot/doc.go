// Package boot starts virtual machines on images by their own boot loaders: a
// disk with an EFI system partition and a Debian on it, GRUB on one and
// systemd-boot on the other, under qemu with a firmware that keeps its variables.
package boot
