package profile

import (
	"fmt"
	"strconv"
	"strings"
)

// New returns the text of a profile that a person can go on from: each key with
// its default and what it does. An empty base is "host"; an empty runtime is
// none.
func New(name, base, runtime string) (string, error) {
	if base == "" {
		base = HostBase
	}
	chosen := "# runtime = \"xfce\"        # an image over the base"
	if runtime != "" {
		chosen = "runtime = " + strconv.Quote(runtime)
	}
	summary := "a session on " + base
	if runtime != "" {
		summary = runtime + " on " + base
	}
	text := strings.NewReplacer(
		"@NAME@", strconv.Quote(name), "@SUMMARY@", strconv.Quote(summary),
		"@BASE@", strconv.Quote(base), "@RUNTIME@", chosen,
	).Replace(template)
	if findings := Check(name+suffix, []byte(text)); len(findings) > 0 {
		return "", fmt.Errorf("new profile: %w", &Error{findings})
	}
	return text, nil
}

const template = `# A profile: what a session stands on and how it is kept apart. What is
# commented out shows the default, or an example where there is none.

version = 1
name = @NAME@
summary = @SUMMARY@

# What the session stands on: "host" (this machine) or an image.
base = @BASE@
@RUNTIME@
# components = ["thunar"]  # images over the runtime
# compose = "auto"         # or merge, full: how the runtime joins the base

# home = "shared"          # or dotfiles (settings of its own), kept (a guest's), private (thrown away), none
# tmp = "private"          # or shared
# devices = ["dri", "snd"] # below /dev, besides null, tty and the like
# command = ["xfce4-session"]

# Lines of a namespace file, applied last. $home, $user and $uid are known.
# namespace = """
# bind -r /srv/data /n/data
# """

# [isolation]
# pid = false
# ipc = false
# uts = false
# cgroup = false
# net = "host"             # or none
# user = "host"            # or mapped
# hostname = "sandbox"     # with uts
# seccomp = "none"         # or default
# capabilities = ["default"]
# no_new_privs = false
# broker = true

# [keep]
# root = "no"              # or user: what is written stays for the next time
# size = "512M"            # of what is thrown away
# park = true              # what a logout throws away can be brought back for a while

# [project]                # what of the machine shows in an image
# identity = true
# resolv = true
# hosts = true
# machine_id = true
# timezone = true
# locale = true
# ca = true
# fonts = false
# media = false            # sticks and discs that the machine mounts, on every base
# screen = false           # a guest's: the X server that it sits at

# [limits]
# memory = "4G"
# tasks = 4096
# nofile = 65536

# [environment]
# EDITOR = "vi"
`
