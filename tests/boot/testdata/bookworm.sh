# GRUB, one start each. The store is on a disk of its own.
case $step in
0)
	grub-mkconfig -o /boot/grub/grub.cfg
	cksum /boot/grub/grub.cfg /boot/initrd.img-* >/mnt/before
	ctl --state /mnt/state boot bare
	tell "an image without modules: $?"
	ctl --state /mnt/state boot started
	tell "started: $?"
	again
	;;
1)
	[ ! -e /etc/written ] && tell "nothing came along"
	ctl --state /mnt/state boot status | sed -n 's/^/TOLD /;2p'
	ctl --state /mnt/state boot broken
	tell "broken: $?"
	again
	;;
2)
	tell "came back by itself"
	ctl --state /mnt/state boot --back
	tell "back: $?"
	cksum /boot/grub/grub.cfg /boot/initrd.img-* | cmp - /mnt/before && tell "as before"
	ls /boot/grub/custom.cfg /boot/ninefold /mnt/state/boot/* 2>/dev/null
	;;
esac
