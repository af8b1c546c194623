package manager

import (
	"path/filepath"
	"slices"
	"strings"

	"ninefold/namespaces/plan"
)

// decides are the files by which programs decide who may become whom.
var decides = []string{"/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers-rs", "/etc/sudo.conf", "/etc/doas.conf"}

// grants are the files by which setuid programs give a user ids beside their own
// and mounts. On the host's own root they are the host's already, and newuidmap,
// which follows no link, goes by them. Over an image it finds a link and refuses.
var grants = []string{"/etc/subuid", "/etc/subgid", "/etc/fstab"}

// authority makes what decides in a login who may become whom (sudo and su
// inside) the host's own, whatever the root is: by links into the live
// directory, so that an account that is locked on the host is locked inside, and
// an image's NOPASSWD gives nobody anything. Where the host has none of a kind
// there is none: sudo then refuses.
//
// Over an image's PAM services and their settings lie the host's: one that the
// host has not is left to the image. Modules that the host names and the image has
// not make PAM refuse.
func (m machine) authority(s *plan.Spec, onImage bool) {
	etc := plan.Projection{Dir: "/etc"}
	names := decides
	if onImage {
		names = slices.Concat(names, grants)
	} else {
		names = append([]string{"/etc/passwd", "/etc/group"}, names...)
	}
	for _, name := range names {
		if onImage || m.exists(name) {
			etc.Links = append(etc.Links, plan.Link{Text: live(name), Path: name})
		}
	}
	// Before Files, which say more of a user from a directory.
	s.Projections = append([]plan.Projection{etc}, s.Projections...)
	const more = "/etc/sudoers.d"
	if m.exists(more) {
		s.Lines = append([]plan.Line{{Op: plan.Bind{Source: more, Target: more, Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true, NoExec: true}}}}, s.Lines...)
	} else if onImage {
		s.Lines = append([]plan.Line{{Op: plan.Mount{Type: "tmpfs", Target: more, Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true},
			Options: []string{"mode=0750", "size=64k"}}}}, s.Lines...)
	}
	if !onImage {
		return
	}
	for _, dir := range []string{"/etc/pam.d", "/etc/security"} {
		if m.exists(dir) {
			s.Over = append(s.Over, dir)
		}
	}
	if dir := m.moduleDir(); dir != "" {
		name := filepath.Join(dir, module)
		s.Links = append(s.Links, plan.Link{Text: plan.LibDir + "/" + module, Path: name})
	}
}

// module is the PAM module, of which a copy lies beside ninefold-init.
const module = "pam_ninefold.so"

// moduleDir is where this machine has PAM modules: the same place as an image
// of the same distribution.
func (m machine) moduleDir() string {
	for _, pattern := range []string{"/usr/lib/*/security", "/usr/lib64/security", "/usr/lib/security"} {
		found, _ := filepath.Glob(m.at(pattern + "/" + module)) // fails for a bad pattern alone
		if len(found) > 0 {
			return "/" + strings.Trim(strings.TrimPrefix(filepath.Dir(found[0]), m.root), "/")
		}
	}
	return ""
}
