#!/bin/sh
# In pre-pivot: the root file system is mounted on $NEWROOT.
# What systemd mounts is shared, and of such a mount nothing can be moved (mount_namespaces(7)).
mount --make-rprivate /
# shellcheck source=/dev/null
. /usr/lib/ninefold/overlay.sh
ninefold_over "$NEWROOT" /usr/bin
