package machine

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// disaster is something that happens to Ninefold, or to the machine, that must
// cost nobody a login.
type disaster struct {
	name   string
	strike string // shell, as root in the machine
	repair string
	// reason is what the screen says; "" says nothing.
	reason string
	// doctor is what doctor complains of while it lasts.
	doctor string
	// bare: logind and user managers suffer, too, and would without Ninefold.
	bare bool
	// reboot: systemd and logind come back to their senses only so.
	reboot bool
	// imaged: it happens to the image that logins enter.
	imaged bool
	// view: the login may or shall land in its view all the same.
	view view
}

type view int

const (
	onHost view = iota
	inView
	either
)

// The broken profile and the missing one come with their own configuration.
const toProfile = `printf '[login]\ndefault = "%s"\n' %s >/etc/ninefold/ninefold.toml`

var disasters = []disaster{
	{
		name:   "daemon dead",
		strike: "systemctl stop sessiond-door.socket sessiond.service",
		doctor: "the door",
		repair: "systemctl start sessiond-door.socket sessiond.service",
		reason: `ninefold: .*you are on the host`,
	},
	{
		name:   "daemon that cannot start",
		strike: "mv /usr/lib/ninefold/sessiond /usr/lib/ninefold/away && systemctl kill -s KILL sessiond.service",
		doctor: "the door",
		repair: "mv /usr/lib/ninefold/away /usr/lib/ninefold/sessiond && systemctl restart sessiond.service && rm -f /run/ninefold/door.failed",
		reason: `ninefold: .*you are on the host`,
	},
	{
		name:   "daemon stopped",
		strike: "systemctl kill -s STOP sessiond.service",
		doctor: "the door",
		repair: "systemctl kill -s CONT sessiond.service; rm -f /run/ninefold/door.failed; sleep 0.5",
		reason: `ninefold: .*you are on the host`,
	},
	{
		name:   "daemon killed between prepare and enter",
		strike: `cp -p /etc/pam.d/common-session /run/common-session && printf '#!/bin/sh\nsystemctl kill -s KILL sessiond.service\nsystemctl stop sessiond.service\nexit 0\n' >/run/killer && chmod 755 /run/killer && awk '/pam_systemd/ { print "session optional pam_exec.so /bin/sh /run/killer" } { print }' /run/common-session >/etc/pam.d/common-session`,
		repair: "cp -p /run/common-session /etc/pam.d/common-session; systemctl restart sessiond.service; rm -f /run/ninefold/door.failed",
		reason: `ninefold: `,
		view:   either,
	},
	{
		name:   "no such profile",
		strike: fmt.Sprintf(toProfile, "%s", "lost"),
		doctor: "profile lost",
		repair: fmt.Sprintf(toProfile, "%s", "marked"),
		reason: `ninefold: .*lost`,
	},
	{
		name:   "profile broken",
		strike: "cp /etc/ninefold/profiles/marked.toml /run/ && echo 'bsae = 1' >/etc/ninefold/profiles/marked.toml && systemctl restart sessiond.service",
		doctor: "profile marked",
		repair: "cp /run/marked.toml /etc/ninefold/profiles/marked.toml",
		reason: `ninefold: .*marked`,
	},
	{
		name:   "configuration broken",
		strike: "cp /etc/ninefold/ninefold.toml /run/ && echo 'defualt = 1' >>/etc/ninefold/ninefold.toml",
		doctor: "the configuration",
		repair: "cp /run/ninefold.toml /etc/ninefold/ninefold.toml",
		view:   inView, // the last good one is in force
	},
	{
		name:   "image missing",
		strike: `printf 'version = 1\nname = "imaged"\nbase = "gone"\n' >/etc/ninefold/profiles/imaged.toml; ` + fmt.Sprintf(toProfile, "%s", "imaged"),
		doctor: "profile imaged",
		repair: fmt.Sprintf(toProfile, "%s", "marked") + "; rm /etc/ninefold/profiles/imaged.toml",
		reason: `ninefold: .*(imaged|gone)`,
	},
	{
		name:   "state full",
		strike: "systemctl stop sessiond.service && mount -t tmpfs -o size=64k tmpfs /var/lib/ninefold && dd if=/dev/zero of=/var/lib/ninefold/full status=none; systemctl start sessiond.service",
		doctor: "room in /var/lib/ninefold",
		repair: "umount /var/lib/ninefold; systemctl restart sessiond.service",
		reason: `ninefold: `,
		view:   either,
	},
	{
		name:   "run full",
		strike: "dd if=/dev/zero of=/run/full bs=1M status=none 2>&1; true",
		doctor: "room in /run",
		repair: "rm -f /run/full",
		reason: `ninefold: `,
		bare:   true,
		view:   either,
		reboot: true,
	},
	{
		name:   "run/ninefold gone",
		strike: "rm -rf /run/ninefold",
		doctor: "the door",
		repair: "systemctl stop sessiond.service sessiond-door.socket; systemctl start sessiond-door.socket sessiond.service",
		reason: `ninefold: .*you are on the host`,
	},
	{
		name:   "wrapper without its capabilities",
		strike: "setcap -r /usr/lib/ninefold/ninefold-enter",
		doctor: "ninefold-enter",
		repair: "setcap cap_sys_admin,cap_sys_chroot=p /usr/lib/ninefold/ninefold-enter",
		reason: `ninefold: `,
	},
	{
		name:   "module gone",
		strike: "mv /usr/lib/*/security/pam_ninefold.so /run/",
		doctor: "pam_ninefold.so",
		repair: "mv /run/pam_ninefold.so /usr/lib/$(uname -m)-linux-gnu/security/",
		bare:   true, // the manager asks all the same
	},
}

// diskDisasters happen to a machine that has a disk of its own, which can be full.
var diskDisasters = []disaster{
	{
		name:   "state and run full",
		strike: "systemctl stop sessiond.service && mount -t tmpfs -o size=64k tmpfs /var/lib/ninefold && dd if=/dev/zero of=/var/lib/ninefold/full status=none; dd if=/dev/zero of=/run/full bs=1M status=none 2>&1; systemctl start sessiond.service; true",
		doctor: "room in /run",
		repair: "rm -f /run/full; umount /var/lib/ninefold; systemctl restart sessiond.service",
		reason: `ninefold: `,
		bare:   true,
		view:   either,
		reboot: true,
	},
	{
		// What Ninefold needs lies elsewhere: nobody notices but by what else fails.
		name:   "root full",
		strike: "dd if=/dev/zero of=/var/full bs=1M status=none 2>/dev/null; dd if=/dev/zero of=/var/full2 bs=1k status=none 2>/dev/null; ! echo full 2>/dev/null >/var/full3",
		repair: "rm -f /var/full /var/full2 /var/full3",
		view:   inView,
	},
}

// shellObject is the object that the image's login shell is.
const shellObject = `d=$(cat /run/shell.digest); o=/var/lib/ninefold/store/objects/$(echo $d | cut -c1-2)/$(echo $d | cut -c3-); `

// imageDisasters happen to the store: each repair puts back what was.
var imageDisasters = []disaster{
	{
		name:   "store missing",
		strike: "mv /var/lib/ninefold/store /var/lib/ninefold/away",
		doctor: "profile imaged",
		repair: "rm -rf /var/lib/ninefold/store; mv /var/lib/ninefold/away /var/lib/ninefold/store",
		reason: `ninefold: .*imaged`,
	},
	{
		name:   "image removed",
		strike: "mv /var/lib/ninefold/store/tags/login /run/tag",
		doctor: "profile imaged",
		repair: "cp /run/tag /var/lib/ninefold/store/tags/login",
		reason: `ninefold: .*imaged`,
	},
	{
		name:   "metadata truncated",
		strike: "cp -a /var/lib/ninefold/store/composefs /run/composefs && for f in $(find /var/lib/ninefold/store/composefs -type f); do truncate -s 1000 $f; done",
		doctor: "profile imaged",
		repair: "for f in $(cd /run/composefs && find . -type f); do cat /run/composefs/$f >/var/lib/ninefold/store/composefs/$f; done",
		reason: `ninefold: .*imaged`,
	},
	{
		name:   "bit flipped in the shell",
		strike: shellObject + `cp $o /run/object && printf '\377' | dd of=$o bs=1 seek=18 conv=notrunc status=none`,
		doctor: "profile imaged",
		repair: shellObject + "dd if=/run/object of=$o conv=notrunc status=none",
		reason: `ninefold: .*imaged.*shell`,
	},
	{
		name:   "image from outside",
		strike: fromOutside,
		doctor: "profile imaged",
		repair: "rm -r /var/lib/ninefold/store/origins",
		reason: `ninefold: .*imaged.*no trusted key signed it`,
	},
	{
		// It is nobody's, and so is the view.
		name:   "image from outside let in unsigned",
		strike: fromOutside + ` && printf '[[rule]]\nimages = ["login"]\nrequire = "none"\n' >/etc/ninefold/trust.toml`,
		repair: "rm -r /var/lib/ninefold/store/origins /etc/ninefold/trust.toml",
		view:   inView,
	},
	{
		// Signed and trusted it is used again, though signatures are still asked for.
		name:   "image not signed",
		strike: `printf '[[rule]]\nimages = ["login"]\nlocal = "signed"\n' >/etc/ninefold/trust.toml`,
		doctor: "profile imaged",
		repair: `sessionctl key new /run/steve >/run/steve.pub && sessionctl key trust steve /run/steve.pub --scope login && sessionctl image sign login --key /run/steve`,
		reason: `ninefold: .*imaged.*no trusted key signed it`,
	},
	{
		name:   "key revoked",
		strike: "sessionctl key revoke steve --reason stolen",
		doctor: "profile imaged",
		repair: "rm -rf /etc/ninefold/trust.toml /etc/ninefold/revoked.toml /etc/ninefold/trust.d /run/steve /run/steve.pub",
		reason: `ninefold: .*imaged.*the key is revoked`,
	},
	{
		name:   "image needs another machine",
		strike: demand,
		doctor: "profile imaged",
		repair: `sed -i 's,"demanding","login",' /etc/ninefold/profiles/imaged.toml && sessionctl image remove demanding local/login:1 && rm -rf /run/demand /etc/ninefold/recipes/demanding.lock`,
		reason: `ninefold: .*imaged.*needs Linux >= 99, this host has [0-9]`,
	},
	{
		name:   "shell not in the image",
		strike: "cp /bin/bash /usr/local/bin/own-shell && usermod -s /usr/local/bin/own-shell bob",
		repair: "usermod -s /bin/bash bob",
		reason: `ninefold: .*imaged.*own-shell`,
	},
	{
		name:   "sftp-server not in the image",
		strike: `sed -i 's,^namespace = """,&\nfile /usr/lib/openssh/sftp-server gone,' /etc/ninefold/profiles/imaged.toml`,
		repair: "sed -i /sftp-server/d /etc/ninefold/profiles/imaged.toml",
		reason: `ninefold: .*sftp-server`,
		view:   either,
		bare:   true, // ssh stays on the host, beside the manager
	},
}

// demand has the profile stand on an image that needs a kernel that is not there.
const demand = `mkdir -p /run/demand/files/etc && sessionctl image tag login local/login:1 && cd /run/demand && echo >files/etc/demanding && ` +
	`printf '%s\n' 'version = 1' 'name = "demanding"' 'from = "local/login:1"' '[source]' 'directory = "/run/demand/files"' '[requires]' 'kernel = ">= 99"' >demanding.toml && ` +
	`sessionctl image build /run/demand/demanding.toml && sed -i 's,"login","demanding",' /etc/ninefold/profiles/imaged.toml`

// fromOutside writes what the store notes of an image that was pulled.
const fromOutside = `cd /var/lib/ninefold/store && mkdir -p origins && text='{"from":"elsewhere","references":["login"]}' && ` +
	`id=$(sed -n 's/^\([0-9a-f]\{64\}\)$/\1/p' tags/login) && ` +
	`printf 'ninefold-origin 1 %d %s\n%s' ${#text} $(printf %s "$text" | sha256sum | cut -c1-64) "$text" >origins/$id`

// TestNobodyIsLockedOut tries what can go wrong. Each time a login works, with
// a line that says why it is not where it should be.
func TestNobodyIsLockedOut(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			mounts := b.hostMounts()
			b.clean(t, mounts)
			for _, d := range disasters {
				t.Run(strings.ReplaceAll(d.name, " ", "-"), func(t *testing.T) { b.For(t).survive(t, d, mounts) })
			}
			t.Run("package-removed", func(t *testing.T) {
				b := b.For(t)
				b.gone("bob")
				b.Must("dpkg", "--remove", "ninefold")
				for _, w := range Ways {
					if p := b.probe(t, w, "bob"); p["mnt"] != b.hostNS() {
						t.Errorf("not on the host: %v", p)
					}
				}
				if left := b.Run("grep", "-rn", "ninefold", "/etc/pam.d"); left.OK() {
					t.Errorf("the PAM stack still names it: %s", left)
				}
			})
		})
	}
}

// TestAFullDiskLocksNobodyOut fills what logins write to.
func TestAFullDiskLocksNobodyOut(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{Disk: 1 << 30})
			mounts := b.hostMounts()
			for _, d := range diskDisasters {
				t.Run(strings.ReplaceAll(d.name, " ", "-"), func(t *testing.T) { b.For(t).survive(t, d, mounts) })
			}
		})
	}
}

// TestADamagedImageLocksNobodyOut does it to the image that logins enter. The
// machines take turns, since it is done in place, to files that they share.
func TestADamagedImageLocksNobodyOut(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			b := imagedMachine(t, suite)
			mounts := b.hostMounts()
			b.Must("sh", "-c", "su -l bob -c 'sha256sum </bin/bash' | cut -c1-64 >/run/shell.digest")
			b.gone("bob")
			b.clean(t, mounts)
			for _, d := range imageDisasters {
				d.imaged = true
				t.Run(strings.ReplaceAll(d.name, " ", "-"), func(t *testing.T) { b.For(t).survive(t, d, mounts) })
			}
		})
	}
}

func (b *Booted) survive(t *testing.T, d disaster, mounts string) {
	b.gone("bob")
	b.Must("sh", "-c", d.strike)
	b.configured()
	for _, w := range Ways {
		if w.Name == "sudo" || w.Name == "su-tty" || d.imaged && w.Name == "su" {
			continue
		}
		p, shown := b.look(t, w, "bob")
		if !d.bare {
			b.whole(t, p, "bob")
		}
		ns := b.hostNS()
		switch {
		case d.view == onHost && p["mnt"] != ns:
			t.Errorf("%s: not on the host: %v", w.Name, p)
		case d.view == inView && p["mnt"] == ns:
			t.Errorf("%s: not in the view: %v", w.Name, p)
		}
		said := regexp.MustCompile(`(?m)^.*ninefold: .*$`).FindAllString(shown, -1)
		// Without a terminal sshd shows no messages of the session phase.
		wanted := d.reason != "" && p["mnt"] == ns && w.Name != "ssh"
		switch {
		case wanted && (len(said) != 1 || !regexp.MustCompile(d.reason).MatchString(said[0])):
			t.Errorf("%s: want one line like %q, and it says:\n%s", w.Name, d.reason, shown)
		case d.reason == "" && len(said) > 0:
			t.Errorf("%s: it says: %s", w.Name, said)
		}
	}
	if d.doctor != "" {
		r := b.Run("sessionctl", "doctor")
		if found := b.complaints(r); !strings.Contains(found, d.doctor) {
			t.Errorf("doctor does not complain of %s: %s", d.doctor, r)
		}
	}
	b.Must("sh", "-c", d.repair)
	b.Must("rm", "-f", "/run/ninefold/door.failed") // a slow machine is no disaster of this kind
	if d.reboot {
		b.Reboot()
	}
	b.configured()
	b.gone("bob")
	if p := b.probe(t, Ways[0], "bob"); p["marker"] != d.after() {
		t.Errorf("after the repair: %v", p)
	}
	b.gone("bob")
	b.clean(t, mounts)
}

// after is what a login finds when all is well again.
func (d disaster) after() string {
	if d.imaged {
		return "imaged"
	}
	return "marked"
}
