# systemd-boot, an image that stays. The image lies on the root file system.
case $step in
0)
	mkdir -p /var/lib/ninefold
	ln -s /mnt/state/store /var/lib/ninefold/store
	(cd /boot/efi && find . -type f ! -name random-seed | sort | xargs cksum) >/mnt/before
	ctl boot --stay started
	tell "started: $?"
	ctl boot status | sed -n 's/^/TOLD /;2p'
	again
	;;
1)
	tell "came back"
	ctl boot status | sed -n 's/^/TOLD /;2p'
	ctl boot --back
	tell "back: $?"
	(cd /boot/efi && find . -type f ! -name random-seed | sort | xargs cksum) | cmp - /mnt/before && tell "as before"
	ls /var/lib/ninefold/boot
	;;
esac
