package policy

import (
	"path"
	"slices"
	"strings"
)

// escape is a program that can be made to run any other program, or to read or
// write any file, by whoever chooses what it is told.
type escape struct {
	// names are base names of programs, with blanks between.
	names string
	// how is what it can be told, in half a sentence.
	how string
	// dialog says that who sits at its terminal needs no arguments for it;
	// unless says which argument, if it is always given, ends that.
	dialog bool
	unless string
	// safe are first arguments with which fixed arguments are harmless although
	// the program is otherwise a dialog.
	safe string
	// bare says that it is so without arguments, too.
	bare bool
}

// escapes are known ways out. The list warns; it is not complete, and a program
// that is not in it is not known to be safe.
var escapes = []escape{
	{names: "sh bash dash zsh ksh mksh fish csh tcsh busybox rbash", how: "a shell runs what it is told", dialog: true, unless: "-c"},
	{names: "su runuser", how: "starts a shell as anybody", dialog: true, unless: "-c"},
	{names: "sudo doas pkexec setpriv sudoedit run0 machinectl", how: "starts anything as anybody", bare: true},
	{names: "python perl ruby lua node nodejs php tclsh wish guile gawk mawk nawk original-awk awk expect irb ghci R octave jshell ocaml bc",
		how: "an interpreter runs the program that it is given, and programs can start others", bare: true},
	{names: "java javac go cargo rustc gcc g++ cc c++ clang make cmake ninja meson rake ant mvn gradle npm npx yarn pip pip3 pipx gem composer bundle bundler",
		how: "runs what a file of the caller's says, as in a build", bare: true},
	{names: "env nice nohup timeout setsid stdbuf ionice chrt taskset flock script unshare nsenter chroot setarch linux32 linux64 i386 x86_64 xargs parallel watch time strace ltrace perf valgrind prlimit numactl cgexec systemd-run systemd-inhibit dbus-run-session dbus-launch xvfb-run catchsegv ld.so ldconfig proot fakeroot fakechroot capsh start-stop-daemon run-parts entr socat nc ncat netcat logrotate",
		how: "starts the program that its arguments or its configuration name"},
	{names: "vi vim view vimdiff vim.basic vim.tiny vim.nox vim.gtk3 rvim ex nvim emacs nano pico joe jed mcedit ed kak helix hx micro vigr vipw visudo crontab gedit kate",
		how: "an editor starts a shell (:! in vi, ^T in nano) and writes any file", dialog: true},
	{names: "less more most pg man info pinfo zless bzless xzless lesspipe",
		how: "a pager starts a shell with ! and an editor with v", dialog: true},
	{names: "journalctl systemctl loginctl timedatectl hostnamectl localectl networkctl resolvectl bootctl coredumpctl busctl systemd-analyze systemd-cgls userdbctl portablectl homectl",
		how: "at a terminal its output goes through a pager, which starts a shell", dialog: true, unless: "--no-pager"},
	{names: "git", how: "its configuration, hooks, aliases, pager and -c name programs", dialog: true, unless: "--no-pager"},
	{names: "hg svn bzr cvs darcs", how: "its configuration, hooks and editor name programs"},
	{names: "apt apt-get aptitude", how: "-o runs commands before and after (DPkg::Pre-Invoke), a ./FILE.deb runs its scripts, and dpkg offers a shell where a configuration file was changed",
		dialog: true, safe: "update check clean autoclean"},
	{names: "dpkg", how: "the scripts of a package run as who installs it, and a shell is offered where a configuration file was changed", dialog: true, safe: "-l -s -L --list --status --listfiles --audit -C"},
	{names: "dnf dnf5 yum rpm zypper pacman apk snap flatpak nix guix", how: "the scripts and plugins of a package, or of a repository that is named, run as who installs it"},
	{names: "tar bsdtar cpio pax star", how: "--checkpoint-action, --to-command and -I run programs, and unpacking writes any file"},
	{names: "zip unzip 7z 7za rar unrar ar", how: "zip -T -TT runs a command, and unpacking writes any file"},
	{names: "gzip gunzip bzip2 xz zstd", how: "reads or writes any file that is named"},
	{names: "find fd fdfind locate", how: "-exec, -ok and -execdir start programs, -delete and -fprintf change files"},
	{names: "sed", how: "the command e of a script runs programs, w writes files"},
	{names: "grep egrep fgrep rg ag cat tac head tail nl od xxd hexdump strings diff sort uniq comm cut paste join wc cmp base64 base32 file readelf objdump column rev fold fmt pr iconv jq yq",
		how: "shows any file that is named, /etc/shadow too, as whom it runs"},
	{names: "cp mv ln install tee dd truncate touch split shred rm rmdir unlink mkdir mknod mkfifo patch rename mmv sponge",
		how: "puts, replaces or removes any file, /etc/passwd too, as whom it runs"},
	{names: "chmod chown chgrp setfacl setcap chattr setfattr", how: "gives away any file, or makes a program setuid"},
	{names: "mount umount losetup mkfs mke2fs mkfs.ext4 swapon fusermount fusermount3 cryptsetup dmsetup lvm fdisk sfdisk parted debugfs",
		how: "changes what is mounted where, over anything, or what lies on a disk"},
	{names: "rsync", how: "-e and --rsync-path start programs, and it writes any file"},
	{names: "ssh scp sftp sshfs ssh-keygen ssh-agent ssh-add ssh-copy-id autossh mosh telnet ftp lftp", how: "-o ProxyCommand, -o LocalCommand, -D and ~! start programs", dialog: true},
	{names: "curl wget aria2c", how: "writes any file with what it fetches, and sends any file"},
	{names: "tcpdump", how: "-z runs a program on each file, -w writes any file"},
	{names: "tshark dumpcap wireshark nmap", how: "runs scripts, and writes any file"},
	{names: "ip", how: "ip netns exec starts programs, and -batch shows files"},
	{names: "docker podman nerdctl ctr lxc lxd incus buildah kubectl crictl virsh vagrant qemu-system-x86_64 systemd-nspawn bwrap firejail runc crun",
		how: "a container or machine is started with any directory of the host in it"},
	{names: "gdb lldb cgdb rr", how: "a debugger runs programs, and changes those that run", dialog: true},
	{names: "screen tmux byobu dtach abduco", how: "starts shells", dialog: true},
	{names: "mc ranger nnn lf vifm top htop atop btop iotop nethogs mutt neomutt alpine elinks lynx w3m links", how: "starts programs from its keys", dialog: true},
	{names: "mysql mariadb psql sqlite3 mongo redis-cli", how: "the command for a shell (\\! or .shell) starts programs", dialog: true},
	{names: "at batch anacron cron crond", how: "what it is given runs later", bare: true},
	{names: "passwd chpasswd chsh chfn useradd usermod groupmod groupadd gpasswd adduser newusers", how: "changes accounts, root's too, unless it says whose"},
	{names: "modprobe insmod depmod kmod dkms kexec sysctl", how: "loads code into the kernel, or makes it start programs"},
	{names: "service invoke-rc.d update-rc.d init telinit", how: "starts what a script or unit says"},
	{names: "openssl gpg gpg2 gpgv", how: "loads engines or starts helpers that are named, and reads and writes any file"},
	{names: "dbus-send gdbus", how: "asks any service of the machine for anything, as whom it runs"},
	{names: "exiftool ffmpeg convert magick pdftex latex tex xetex lualatex gs ghostscript troff groff", how: "what it reads can start programs or name files"},
	{names: "wall write mail mailx sendmail exim exim4 postfix", how: "shows files, or starts programs from a message"},
	{names: "ansible ansible-playbook puppet salt-call chef-client terraform", how: "what it reads says what runs"},
}

// escapeOf returns the entry for a program; versions in names (python3.13) are
// left out of account.
func escapeOf(program string) *escape {
	base := path.Base(program)
	short := strings.TrimRight(base, "0123456789.-")
	for i := range escapes {
		for name := range strings.FieldsSeq(escapes[i].names) {
			if name == base || name == short {
				return &escapes[i]
			}
		}
	}
	return nil
}

// open reports whether a caller whom a rule lets run the program can make it do
// what it can.
func (e *escape) open(r *Rule) bool {
	switch {
	case !fixed(r):
		return true
	case len(r.Args) == 0:
		return e.bare || e.dialog
	case !e.dialog:
		return false
	case e.unless != "":
		return !slices.ContainsFunc(r.Args, func(p Pattern) bool {
			return len(p) == 1 && p[0] == Alternative{Exact, e.unless}
		})
	}
	safe := strings.Fields(e.safe)
	return slices.ContainsFunc(r.Args[0], func(a Alternative) bool { return !slices.Contains(safe, a.Text) })
}

// fixed reports whether the policy writes down every argument.
func fixed(r *Rule) bool {
	return len(r.Rest) == 0 && !slices.ContainsFunc(r.Args, func(p Pattern) bool {
		return slices.ContainsFunc(p, func(a Alternative) bool { return a.Kind != Exact })
	})
}
