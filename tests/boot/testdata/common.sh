#!/bin/sh
# Before the script of a machine.
tell() { echo "TOLD on the machine: $*"; }
# Not to the console: there would be a bar.
ctl() {
	/mnt/bin/sessionctl "$@" >/mnt/said 2>&1
	set -- $?
	cat /mnt/said
	return "$1"
}
again() {
	sync
	systemctl --force --force reboot
	sleep 60
}
step=$(cat /mnt/step 2>/dev/null || echo 0)
echo $((step + 1)) >/mnt/step
