package machine

// Greeters is the set of machines with display managers and without a screen:
// lightdm, greetd, sddm and gdm, none of which runs at first, and Xvfb with what
// types and looks. An X server there is Xvfb, whoever starts it; logind would
// refuse the number of a virtual terminal, since there is none.
var Greeters = &Set{
	Name: "greeters",
	Packages: []string{
		"lightdm", "lightdm-gtk-greeter", "greetd", "sddm", "gdm3", "accountsservice",
		"xvfb", "xauth", "xdotool", "x11-utils", "x11-xserver-utils", "xterm", "imagemagick", "fonts-dejavu-core", "dbus-x11", "python3-minimal",
		"pkexec", "systemd-userdbd",
	},
	Files: map[string]string{
		"usr/local/bin/screenless-x": screenless,
		"etc/security/no-vt.conf":    "XDG_VTNR DEFAULT=0 OVERRIDE=0\n",
		"etc/lightdm/lightdm.conf.d/90-screenless.conf": "[Seat:*]\nxserver-command=/usr/local/bin/screenless-x\n" +
			"greeter-hide-users=true\ngreeter-show-manual-login=true\n",
		"etc/sddm.conf.d/screenless.conf":                "[X11]\nServerPath=/usr/local/bin/screenless-x\n",
		"etc/systemd/system/greeters.service":            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/local/sbin/seat\nExecStartPost=systemctl restart systemd-logind\n",
		"etc/systemd/system/lightdm.service.d/stop.conf": stopSoon,
		"etc/systemd/system/sddm.service.d/stop.conf":    stopSoon,
		"etc/systemd/system/gdm.service.d/stop.conf":     stopSoon,
		"etc/systemd/system/greetd.service.d/stop.conf":  stopSoon,
		// Else a user's manager stays for ten seconds after the last session.
		"etc/systemd/logind.conf.d/greeters.conf": "[Login]\nUserStopDelaySec=1\n",
		"usr/local/sbin/seat":                     seat,
	},
	Steps: []string{
		"systemctl stop lightdm.service gdm.service sddm.service greetd.service; systemctl start greeters.service",
		"for x in /usr/bin/X /usr/bin/Xorg; do ln -sf /usr/local/bin/screenless-x $x; done",
		`for f in lightdm lightdm-autologin lightdm-greeter sddm sddm-greeter gdm-autologin gdm-password; do
			[ -e /etc/pam.d/$f ] || continue
			grep -q no-vt /etc/pam.d/$f || sed -i '0,/^@include common-session\|^session.*pam_systemd.so/s//session required pam_env.so conffile=\/etc\/security\/no-vt.conf\n&/' /etc/pam.d/$f
			grep -q no-vt /etc/pam.d/$f
		done`,
	},
}

// stopSoon is for a display manager whose session does not end: a window manager
// that is just starting can miss being told to.
const stopSoon = "[Service]\nTimeoutStopSec=20\n"

// seat has logind take seat0 for one with graphics: by what udev would have
// noted of a graphics card, about a device that is there.
const seat = `#!/bin/sh
set -e
mkdir -p /run/udev/tags/master-of-seat /run/udev/tags/seat /run/udev/data
touch /run/udev/tags/master-of-seat/c1:3 /run/udev/tags/seat/c1:3
printf 'I:1\nG:master-of-seat\nG:seat\nQ:master-of-seat\nQ:seat\nV:1\n' >/run/udev/data/c1:3
`

// screenless takes the options of an X server that mean something without a
// screen, and starts one. (exec leaves SIGUSR1 ignored, by which lightdm is told
// that the server is up.)
const screenless = `#!/bin/sh
display= keep=
while [ $# -gt 0 ]; do
	case $1 in
	:[0-9]*) display=$1 ;;
	-auth | -displayfd) keep="$keep $1 $2"; shift ;;
	-nolisten | -noreset) keep="$keep $1"; [ "$1" = -noreset ] || { keep="$keep $2"; shift; } ;;
	-seat | -layout | -background | -verbose | -logfile | -config) shift ;;
	esac
	shift
done
exec Xvfb $display $keep -screen 0 1024x768x24
`
