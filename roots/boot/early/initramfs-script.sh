#!/bin/sh
# In local-bottom: the root file system is mounted, and udev still runs.
if [ "$1" = prereqs ]; then
	exit 0
fi
# shellcheck source=/dev/null
. /usr/lib/ninefold/overlay.sh
# shellcheck disable=SC2154 # rootmnt is of the initramfs
ninefold_over "$rootmnt" /usr/lib/ninefold
