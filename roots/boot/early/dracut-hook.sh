#!/bin/sh
# In pre-pivot: the root file system is mounted on $NEWROOT.
# shellcheck source=/dev/null
. /usr/lib/ninefold/overlay.sh
ninefold_over "$NEWROOT" /usr/bin
