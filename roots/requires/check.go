package requires

import (
	"slices"
	"strings"
)

// Machine is what a machine has, with one of its kernels. Functions are asked only
// for what an image needs.
type Machine struct {
	// Kernel is the kernel's release, Systemd systemd's version.
	Kernel, Systemd string
	// CPU is the processor's level, 0 where it is none of x86-64.
	CPU int
	// OS and OSVersion are ID and VERSION_ID of os-release(5).
	OS, OSVersion string
	// Config returns the value of an option of the kernel, "" where it is not set; known is
	// false where the configuration cannot be read.
	Config func(option string) (value string, known bool)
	// Module reports whether the kernel has a module, built in or not, and Filesystem a file system.
	Module, Filesystem func(name string) bool
	// Driver returns the version of a module, "" where it says none or is not there.
	Driver func(name string) string
	// Image reports whether the store has an image of that name.
	Image func(reference string) bool
}

// Lack is one thing that is needed and not there.
type Lack struct {
	// Needs is what, and Has what the machine has in its place, for people: "Linux >= 6.6", "6.1.0".
	Needs string `json:"needs"`
	Has   string `json:"has"`
}

// String says it in a line.
func (l Lack) String() string { return "needs " + l.Needs + ", this host has " + l.Has }

// On returns what l needs and m does not have, in the order of the keys.
func (l List) On(m Machine) []Lack {
	var out []Lack
	lack := func(needs, has string) { out = append(out, Lack{needs, has}) }
	if r, err := parseRange(l.Kernel); l.Kernel != "" && (err != nil || !r.Holds(m.Kernel)) {
		lack("Linux "+l.Kernel, orNone(m.Kernel))
	}
	if r, err := parseRange(l.Systemd); l.Systemd != "" && (err != nil || !r.Holds(m.Systemd)) {
		lack("systemd "+l.Systemd, orNone(m.Systemd))
	}
	for _, o := range l.Config {
		name, want, valued := strings.Cut(strings.TrimPrefix(o, "CONFIG_"), "=")
		has, known := m.Config(name)
		switch {
		case !known:
			// What cannot be known refuses nobody: most kernels have what images need.
		case valued && has != want, !valued && has != "y" && has != "m":
			lack("a kernel with CONFIG_"+strings.TrimPrefix(o, "CONFIG_"), m.Kernel+" with "+orNone(has))
		}
	}
	for _, name := range l.Modules {
		if !m.Module(name) {
			lack("the kernel module "+name, "none for Linux "+m.Kernel)
		}
	}
	for _, name := range l.Filesystems {
		if !m.Filesystem(name) {
			lack("the file system "+name, "none in Linux "+m.Kernel)
		}
	}
	for _, text := range l.Drivers {
		name, r, err := driver(text)
		if has := m.Driver(name); err != nil || !r.Holds(has) {
			if has == "" {
				has = "none for Linux " + m.Kernel
			}
			lack("the driver "+name+" "+r.String(), has)
		}
	}
	if want := slices.Index(levels, l.CPU); l.CPU != "" && (want < 0 || want > m.CPU) {
		lack("a processor of "+l.CPU, orNone(Level(m.CPU)))
	}
	if len(l.Host) > 0 && !slices.ContainsFunc(l.Host, m.is) {
		lack("the system "+strings.Join(l.Host, " or "), strings.TrimSpace(orNone(m.OS)+" "+m.OSVersion))
	}
	for _, ref := range l.Images {
		if !m.Image(ref) {
			lack("the image "+ref, "none of that name in its store")
		}
	}
	return out
}

// Said is l as lines for people.
func (l List) Said() []string {
	var out []string
	say := func(what string, list ...string) {
		if text := strings.Join(list, ", "); text != "" {
			out = append(out, what+" "+text)
		}
	}
	say("Linux", l.Kernel)
	say("systemd", l.Systemd)
	say("kernel options", l.Config...)
	say("kernel modules", l.Modules...)
	say("file systems", l.Filesystems...)
	say("drivers", l.Drivers...)
	say("processor", l.CPU)
	say("system", strings.Join(l.Host, " or "))
	say("images", l.Images...)
	return out
}

// is reports whether the machine is the system: "debian 12" is also 12.8.
func (m Machine) is(host string) bool {
	id, version, versioned := strings.Cut(host, " ")
	return m.OS == id && (!versioned || m.OSVersion == version || strings.HasPrefix(m.OSVersion, version+"."))
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
