// Package boot has the machine itself start on an image.
//
// The image is one read-only file on the machine's disk. A kernel of the machine
// starts with an initramfs of its own, which mounts the machine's root file system
// read-only, as always, and then puts the image, under an overlay in memory,
// in its place (the scripts in early/). Whatever goes wrong there leaves the
// machine's own root file system in its place.
//
// Nothing that the machine starts by otherwise is changed: kernel, initramfs and
// image are files beside its own, and the boot loader gets an entry more. An
// image is tried, never set: GRUB counts the starts that are left down in its
// environment block before it starts the image, and systemd-boot forgets a
// one-shot entry before it starts it. When they are used up the machine
// starts as before, also when nobody is there to see that the image does not
// come up.
//
// Loader is armed as the last step and disarmed as the first one of taking it back, so a
// machine whose power fails at any moment starts as it did before.
package boot
