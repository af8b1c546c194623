# dracut, and an image in squashfs on a disk of its own.
case $step in
0)
	(cd /boot/efi && find . -type f ! -name random-seed | sort | xargs cksum) >/mnt/before
	ctl --state /mnt/state boot --to squashfs started
	tell "started: $?"
	again
	;;
1)
	tell "came back"
	ctl --state /mnt/state boot --back
	tell "back: $?"
	(cd /boot/efi && find . -type f ! -name random-seed | sort | xargs cksum) | cmp - /mnt/before && tell "as before"
	ls /mnt/state/boot
	;;
esac
