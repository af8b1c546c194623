package machine

// Greeters is the set of machines with display managers and without a screen:
// lightdm, greetd, sddm and gdm, none of which starts by itself, and Xvfb with
// what types and looks. An X server there is Xvfb, whoever starts it; logind
// would refuse the number of a virtual terminal that there is none of.
var Greeters = &Set{
	Name: "greeters",
	Packages: []string{
		"lightdm", "lightdm-gtk-greeter", "greetd", "sddm", "gdm3", "accountsservice",
		"xvfb", "xauth", "xdotool", "x11-utils", "x11-xserver-utils", "xterm", "imagemagick", "fonts-dejavu-core", "dbus-x11", "python3-minimal",
	},
	Files: map[string]string{
		"usr/local/bin/screenless-x": screenless,
		"etc/security/no-vt.conf":    "XDG_VTNR DEFAULT=0 OVERRIDE=0\n",
		"etc/lightdm/lightdm.conf.d/90-screenless.conf": "[LightDM]\nlogind-check-graphical=false\n\n[Seat:*]\nxserver-command=/usr/local/bin/screenless-x\n" +
			"greeter-hide-users=true\ngreeter-show-manual-login=true\n",
		"etc/sddm.conf.d/screenless.conf": "[X11]\nServerPath=/usr/local/bin/screenless-x\n",
	},
	Steps: []string{
		"systemctl stop lightdm.service gdm.service sddm.service greetd.service; echo /usr/sbin/lightdm >/etc/X11/default-display-manager",
		"sed -i '0,/^@include common-session/s//session required pam_env.so conffile=\\/etc\\/security\\/no-vt.conf\\n&/' /etc/pam.d/lightdm",
		"sed -i '0,/^session.*pam_systemd.so/s//session required pam_env.so conffile=\\/etc\\/security\\/no-vt.conf\\n&/' /etc/pam.d/lightdm-greeter",
	},
}

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
