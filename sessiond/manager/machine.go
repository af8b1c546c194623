package manager

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"ninefold/internal/mountinfo"
	"ninefold/internal/regular"
	"ninefold/namespaces/plan"
)

// Projected says what of the machine a session on an image is to see.
type Projected struct {
	Resolv, Hosts, MachineID, TimeZone, Locale, Fonts bool
	// CA is "host", "image" or a directory of the host.
	CA string
	// Network is whether the session has the host's network: without it no
	// way to the host's resolver is projected, which would answer through its
	// socket all the same.
	Network bool
	// ZoneInfo is whether the image has the time zones.
	ZoneInfo bool
}

// machine looks at the host below root ("/" but in tests).
type machine struct{ root string }

func (m machine) at(name string) string { return filepath.Join(m.root, name) }

// live is the name of the host's path as a session sees it.
func live(name string) string { return plan.MachineDir + name }

// linked are single files of the host's /etc. A bind of a file goes stale when
// the host renames over it, as editors and resolvconf do; a link into a bound
// directory does not.
func (m machine) linked(p Projected) []string {
	var names []string
	add := func(want bool, candidates ...string) {
		for _, name := range candidates {
			if want && m.exists(name) {
				names = append(names, name)
			}
		}
	}
	add(p.Resolv && p.Network, "/etc/resolv.conf")
	add(p.Hosts, "/etc/hosts", "/etc/hostname")
	add(p.MachineID, "/etc/machine-id")
	add(p.TimeZone, "/etc/localtime", "/etc/timezone")
	add(p.Locale, "/etc/default/locale", "/etc/locale.conf")
	return names
}

// projections returns the links into live directories, and the binds of whole
// directories as root's own lines.
func (m machine) projections(p Projected) ([]plan.Projection, []plan.Line, error) {
	var out []plan.Projection
	var lines []plan.Line
	etc := plan.Projection{Dir: "/etc"}
	for _, name := range m.linked(p) {
		etc.Links = append(etc.Links, plan.Link{Text: live(name), Path: name})
		if more, ok := m.behind(name); ok {
			out = append(out, more)
		}
	}
	if len(etc.Links) > 0 {
		out = append([]plan.Projection{etc}, out...)
	}
	bind := func(name, target string) {
		lines = append(lines, plan.Line{Op: plan.Bind{Source: name, Target: target, Optional: true,
			Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true, NoExec: true}}})
	}
	if p.TimeZone && !p.ZoneInfo && m.exists("/usr/share/zoneinfo") {
		bind("/usr/share/zoneinfo", "/usr/share/zoneinfo")
	}
	if p.Fonts {
		for _, d := range []string{"/usr/share/fonts", "/usr/local/share/fonts"} {
			if m.exists(d) {
				out = append(out, plan.Projection{Dir: d, Optional: true})
			}
		}
	}
	trust, err := m.trust(p.CA)
	for _, t := range trust {
		bind(t.source, t.target)
	}
	return out, lines, err
}

// behind returns the directory outside /etc that name leads into, so that the
// link is good in the session too: "/etc/resolv.conf" is a link into
// /run/systemd/resolve or /run/NetworkManager on many machines. The host may
// turn such a link around at any time; what it points to when the session
// starts is what the session follows.
func (m machine) behind(name string) (plan.Projection, bool) {
	for range 8 {
		text, err := os.Readlink(m.at(name))
		if err != nil {
			break
		}
		if !strings.HasPrefix(text, "/") {
			text = path.Join(path.Dir(name), text)
		}
		name = path.Clean(text)
	}
	dir := path.Dir(name)
	if !strings.HasPrefix(dir, "/run/") || dir == "/run/ninefold" || strings.HasPrefix(dir, "/run/ninefold/") {
		return plan.Projection{}, false
	}
	// A relative link leads below MachineDir, an absolute one to dir itself.
	return plan.Projection{Dir: dir, Optional: true, Links: []plan.Link{{Text: live(dir), Path: dir}}}, true
}

type placed struct{ source, target string }

// certificates are where programs look for trust roots; Debian's bundle is the
// file ca-certificates.crt in the first.
const certificates = "/etc/ssl/certs"

// trust returns the directories to bind for the machine's trust roots. The
// host's /etc/ssl/certs is full of links to the two certificate directories of
// its packages and its administrator, so those come along.
func (m machine) trust(ca string) ([]placed, error) {
	switch ca {
	case "image":
		return nil, nil
	case "host":
		if !m.exists(certificates) {
			return nil, nil
		}
		out := []placed{{certificates, certificates}}
		for _, d := range []string{"/usr/share/ca-certificates", "/usr/local/share/ca-certificates"} {
			if m.exists(d) {
				out = append(out, placed{d, d})
			}
		}
		// Fedora's /etc/ssl/certs leads into these.
		for _, d := range []string{"/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted"} {
			if m.exists(d) {
				out = append(out, placed{d, d})
			}
		}
		return out, nil
	}
	if st, err := os.Stat(m.at(ca)); err != nil {
		return nil, fmt.Errorf("trust roots: %w", err)
	} else if !st.IsDir() {
		return nil, fmt.Errorf("trust roots: %s is not a directory", ca)
	}
	return []placed{{ca, certificates}}, nil
}

func (m machine) exists(name string) bool {
	_, err := os.Lstat(m.at(name))
	return err == nil
}

// language is the LANG of the machine, "" when it says nothing.
func (m machine) language() string {
	for _, name := range []string{"/etc/locale.conf", "/etc/default/locale"} {
		b, err := regular.Read(m.at(name), 16<<10)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "LANG="); ok {
				return strings.Trim(v, `"'`)
			}
		}
	}
	return ""
}

// onDisk are the file systems that an overlay of the host's root takes along.
// What is mounted from a network or by a program (FUSE) is left out: touching
// it can hang, and a session that wants it binds it.
var onDisk = map[string]bool{
	"ext2": true, "ext3": true, "ext4": true, "xfs": true, "btrfs": true, "f2fs": true, "bcachefs": true, "zfs": true, "jfs": true,
	"erofs": true, "squashfs": true, "overlay": true, "tmpfs": true, "vfat": true, "exfat": true, "ntfs3": true, "iso9660": true, "udf": true,
}

// hostMounts lists the file systems of the host below "/" that belong to its
// root: /usr, /var, /home, /boot, /opt and what else is mounted from a disk,
// mounts below mounts included, and "/" itself for its flags. Where several
// mounts lie on one point, what any of them forbids is forbidden.
func (m machine) hostMounts() ([]plan.HostMount, error) {
	b, err := readTable("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list the host's file systems: %w", err)
	}
	var out []plan.HostMount
	seen := map[string]int{}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		mnt, ok := mountinfo.Parse(s.Text())
		if !ok || mnt.Point != "/" && !onDisk[mnt.Type] || volatileDir(mnt.Point) {
			continue
		}
		if i, again := seen[mnt.Point]; again {
			out[i].Flags = forbidden(mnt, out[i].Flags)
			continue
		}
		if st, err := os.Stat(mnt.Point); err != nil || !st.IsDir() {
			continue // a bound file, or a mount that another one hides
		}
		seen[mnt.Point] = len(out)
		out = append(out, plan.HostMount{Path: mnt.Point, Flags: forbidden(mnt, plan.Flags{})})
	}
	return out, nil
}

// forbidden adds to f what the mount m forbids.
func forbidden(m mountinfo.Mount, f plan.Flags) plan.Flags {
	for _, o := range m.Options {
		switch o {
		case "nosuid":
			f.NoSuid = true
		case "nodev":
			f.NoDev = true
		case "noexec":
			f.NoExec = true
		}
	}
	return f
}

// readTable reads a file of /proc in large pieces: the kernel writes the table
// anew for each read.
func readTable(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		out = append(out, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func volatileDir(p string) bool {
	for _, d := range []string{"/proc", "/sys", "/dev", "/run", "/tmp"} {
		if p == d || strings.HasPrefix(p, d+"/") {
			return true
		}
	}
	return false
}
