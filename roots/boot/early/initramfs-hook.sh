#!/bin/sh
# For mkinitramfs: what the script in local-bottom needs.
if [ "$1" = prereqs ]; then
	exit 0
fi
# shellcheck source=/dev/null
. /usr/share/initramfs-tools/hook-functions
set -e
manual_add_modules loop overlay erofs squashfs
for program in mount umount; do
	copy_exec "$(command -v $program)" /usr/lib/ninefold/
done
mkdir -p "$DESTDIR/usr/lib/ninefold"
cp -p "$CONFDIR/ninefold/overlay.sh" "$DESTDIR/usr/lib/ninefold/overlay.sh"
