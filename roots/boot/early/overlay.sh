# shellcheck shell=sh
# Sourced early in a boot, when the machine's own root file system is mounted and
# nothing of it runs. Every failure leaves that one in its place: the machine
# then starts as it does without an image.

# ninefold_over ROOT PROGRAMS puts the image that the kernel's command line names over
# the root file system that is mounted on ROOT; PROGRAMS has util-linux's mount:
#   ninefold.image=FILE      the image, from the top of the root file system, or of
#   ninefold.device=UUID     another one, by its UUID
#   ninefold.type=TYPE       erofs or squashfs
#   ninefold.keep=UUID:FILE  where to note that this start was a good one
ninefold_over() {
	root=$1 programs=$2 top=/run/ninefold-boot image='' device='' type='' keep=''
	# shellcheck disable=SC2013 # words, not lines
	for word in $(cat /proc/cmdline); do
		case $word in
		ninefold.image=*) image=${word#*=} ;;
		ninefold.device=*) device=${word#*=} ;;
		ninefold.type=*) type=${word#*=} ;;
		ninefold.keep=*) keep=${word#*=} ;;
		esac
	done
	[ -n "$image" ] || return 0
	if ninefold_stack; then
		[ -z "$keep" ] || ninefold_keep "${keep%%:*}" "${keep#*:}"
		echo "ninefold: starting on the image $image"
		return 0
	fi
	echo "ninefold: $why; starting on the machine's own root file system" >&2
	"$programs/umount" "$top/root" 2>/dev/null
	"$programs/umount" -d "$top/image" 2>/dev/null
	"$programs/umount" "$top/device" 2>/dev/null
	"$programs/umount" "$top/writes" 2>/dev/null
	return 0
}

ninefold_stack() {
	for module in loop "$type" overlay; do
		modprobe -q "$module"
	done
	why="$top cannot be made"
	(umask 077 && mkdir -p "$top") && mkdir -p "$top/host" "$top/device" "$top/image" "$top/root" "$top/writes" || return 1
	file=$root$image
	if [ -n "$device" ]; then
		why="the file system $device with the image is not there"
		tries=0
		until [ -e "/dev/disk/by-uuid/$device" ]; do
			[ "$tries" -lt 30 ] || return 1
			tries=$((tries + 1))
			sleep 1
		done
		why="the file system $device with the image cannot be mounted"
		"$programs/mount" -o ro "/dev/disk/by-uuid/$device" "$top/device" || return 1
		file=$top/device$image
	fi
	why="the image $image is not there"
	[ -f "$file" ] || return 1
	why="the image $image cannot be mounted"
	"$programs/mount" -t "$type" -o ro,loop "$file" "$top/image" || return 1
	why="the image $image has no /sbin/init"
	[ -e "$top/image/sbin/init" ] || [ -L "$top/image/sbin/init" ] || return 1
	why="there is no room in memory for what is written"
	"$programs/mount" -t tmpfs -o mode=755 ninefold "$top/writes" && mkdir "$top/writes/upper" "$top/writes/work" || return 1
	why="the image $image cannot be made writable"
	"$programs/mount" -t overlay -o "lowerdir=$top/image,upperdir=$top/writes/upper,workdir=$top/writes/work" ninefold "$top/root" || return 1
	mkdir -p "$top/root/dev" "$top/root/proc" "$top/root/sys" "$top/root/run" || return 1
	why="the root file system cannot be moved aside"
	"$programs/mount" --move "$root" "$top/host" || return 1
	why="the image $image cannot be moved into its place"
	"$programs/mount" --move "$top/root" "$root" && return 0
	"$programs/mount" --move "$top/host" "$root"
	return 1
}

# ninefold_keep UUID FILE has the system on the image say, once it is up, that
# this start was a good one: in GRUB's environment block, or in the name of
# systemd-boot's entry. "leave" there has the next start be one without the image.
ninefold_keep() {
	cat >"$top/note" <<-'END'
		#!/bin/sh
		# note good|leave UUID FILE
		set -eu
		at=/run/ninefold-boot/loader
		mkdir -p "$at"
		mount -o ro "UUID=$2" "$at"
		mount -o remount,rw "$at"
		case $1,$3 in
		good,*/grubenv) sed -i 's/^ninefold_tries=[0-9]$/ninefold_tries=9/' "$at$3" ;;
		leave,*/grubenv) sed -i 's/^ninefold_tries=[0-9]$/ninefold_tries=0/' "$at$3" ;;
		*)
			name=$at$3.conf
			[ "$1" = good ] || name=$at$3+0.conf
			for entry in "$at$3".conf "$at$3"+*.conf; do
				[ ! -e "$entry" ] || [ "$entry" = "$name" ] || mv "$entry" "$name"
			done
			;;
		esac
		sync
		mount -o remount,ro "$at"
		umount "$at"
	END
	cat >"$top/leave" <<-END
		#!/bin/sh
		exec unshare --mount /bin/sh $top/note leave $1 $2
	END
	units=/run/systemd/system
	mkdir -p "$units/multi-user.target.wants"
	cat >"$units/ninefold-keep.service" <<-END
		[Unit]
		Description=Note that the start on the image was a good one
		Requires=boot-complete.target
		After=boot-complete.target multi-user.target

		[Service]
		Type=oneshot
		RemainAfterExit=yes
		PrivateMounts=yes
		ExecStart=/bin/sh $top/note good $1 $2
	END
	ln -s ../ninefold-keep.service "$units/multi-user.target.wants/ninefold-keep.service"
}
