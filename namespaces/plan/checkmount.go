package plan

import (
	"path"
	"slices"
	"strings"
)

func checkNamespaces(n Namespaces) error {
	switch n.Net {
	case "", NetHost, NetNone:
	default:
		return invalid("unknown network %s%s", quote(string(n.Net)), hint(string(n.Net), []string{"host", "none"}))
	}
	switch n.User {
	case "", UserHost, UserMapped, UserRange:
	default:
		return invalid("unknown user namespace %s%s", quote(string(n.User)), hint(string(n.User), []string{"host", "mapped", "range"}))
	}
	if err := checkRange(n); err != nil {
		return err
	}
	if n.Hostname == "" {
		return nil
	}
	if !n.UTS {
		return invalid("the hostname %s needs a uts namespace", short(n.Hostname))
	}
	if !IsHostname(n.Hostname) {
		return invalid("the hostname %s is not made of letters, digits, - and . (at most 64)", short(n.Hostname))
	}
	return nil
}

// FirstRange and LastRange are the lowest and the highest First: those that
// systemd leaves to containers, of 65536 ids each.
const (
	FirstRange = 0x00080000
	LastRange  = 0x6fff0000
)

func checkRange(n Namespaces) error {
	switch {
	case n.User != UserRange && n.First != 0:
		return invalid("first=%d needs user=range", n.First)
	case n.User == UserRange && (n.First < FirstRange || n.First > LastRange || n.First%0x10000 != 0):
		return invalid("a range of ids begins with a multiple of 65536, from %d to %d, not with %d", FirstRange, LastRange, n.First)
	}
	return nil
}

// OnHost is what an id inside is on the host.
func (n Namespaces) OnHost(id uint32) uint32 {
	if n.User == UserRange {
		return n.First + id
	}
	return id
}

// IsHostname reports whether s can be a host's name: letters, digits, - and .
// with neither of the latter two at an end, at most 64 bytes (sethostname(2)).
func IsHostname(s string) bool {
	if s == "" || len(s) > 64 || strings.Trim(s, "-.") != s || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c == '_' || c != '-' && c != '.' && !nameByte(c, false) {
			return false
		}
	}
	return true
}

// maxLayers is the kernel's limit on lowers of one overlay (OVL_MAX_STACK).
const maxLayers = 500

// MaxWithout is how many paths a layer can be seen without: each is made anew
// for each session.
const MaxWithout = 1000

func checkOverlay(o Overlay) error {
	if err := checkPath("target", o.Target); err != nil {
		return err
	}
	if below(o.Target, "/proc") {
		return invalid("the target %s is in /proc", short(o.Target))
	}
	if len(o.Lowers) == 0 || len(o.Lowers) > maxLayers {
		return invalid("the overlay on %s has %d layers; 1 to %d are possible", short(o.Target), len(o.Lowers), maxLayers)
	}
	for _, l := range o.Lowers {
		if err := checkLayer(l); err != nil {
			return err
		}
	}
	if o.Upper == nil {
		return nil
	}
	return checkUpper(*o.Upper)
}

func checkLayer(l Layer) error {
	switch l.Kind {
	case LayerDir, LayerUpper, LayerErofs:
		if l.Data != "" {
			return invalid("the layer %s holds its content itself and has no data", short(l.Source))
		}
	case LayerComposefs, LayerLoop:
		if err := checkPath("data directory", l.Data); err != nil {
			return err
		}
	default:
		return invalid("unknown kind of layer %s%s", quote(string(l.Kind)), hint(string(l.Kind), []string{"dir", "upper", "composefs", "loop", "erofs"}))
	}
	if err := checkPath("layer", l.Source); err != nil {
		return err
	}
	if l.Sub != "" {
		if err := checkPath("directory in the layer", "/"+l.Sub); err != nil {
			return err
		}
	}
	if err := checkWithout(l); err != nil {
		return err
	}
	if l.Reader != nil {
		if err := l.Reader.check(l); err != nil {
			return err
		}
	}
	return checkIDs(uint32(l.Origin))
}

func checkWithout(l Layer) error {
	if len(l.Without) > 0 && l.Kind != LayerDir {
		return invalid("the layer %s is an image and cannot be seen without %s", short(l.Source), short(l.Without[0]))
	}
	if len(l.Without) > MaxWithout {
		return invalid("the layer %s is to be seen without %d paths; at most %d are possible", short(l.Source), len(l.Without), MaxWithout)
	}
	for _, p := range l.Without {
		if err := checkPath("path", p); err != nil {
			return err
		}
		if p == "/" {
			return invalid("the layer %s cannot be seen without its root", short(l.Source))
		}
	}
	return nil
}

func checkUpper(u Upper) error {
	if u.Dir != "" {
		if err := checkPath("writable layer", u.Dir); err != nil {
			return err
		}
		if u.Size != 0 {
			return invalid("the writable layer %s is kept and cannot be given a size", short(u.Dir))
		}
	}
	if u.Size < 0 || u.Size > 0 && u.Size < 64<<10 {
		return invalid("a writable layer of %d bytes is too small; at least 64k", u.Size)
	}
	switch {
	case u.Name == "":
	case len(u.Name) > maxName, strings.ContainsAny(u.Name, "/\x00"),
		slices.Contains([]string{".", "..", "upper", "work"}, u.Name):
		return invalid("the name %s of a writable layer is not a usable file name", short(u.Name))
	}
	return checkIDs(uint32(u.Origin))
}

func checkBind(b Bind) error {
	if err := checkPath("source", b.Source); err != nil {
		return err
	}
	if err := checkTarget(b.Target); err != nil {
		return err
	}
	if err := checkIDs(uint32(b.Origin)); err != nil {
		return err
	}
	switch b.Where {
	case Replace, After, Before:
	default:
		return invalid("unknown place in a union %s", quote(string(b.Where)))
	}
	if b.Create && b.Where != Before {
		return invalid("-c needs -b: a union can only be written to through its topmost tree")
	}
	if b.Make && (b.Where != Replace || b.Optional || b.Origin != 0) {
		return invalid("-m makes what root's step needs, and does not go with -a, -b, -? or an origin")
	}
	if b.Where != Replace && b.Recursive {
		return invalid("-R does not go with -a or -b: a union holds no mounts below its trees")
	}
	return nil
}

func checkMount(m Mount) error {
	if err := checkTarget(m.Target); err != nil {
		return err
	}
	if !slices.Contains(mountTypes[:], m.Type) {
		return invalid("unknown type of mount %s%s", quote(m.Type), hint(m.Type, mountTypes[:]))
	}
	for _, o := range m.Options {
		if err := checkMountOption(m.Type, o); err != nil {
			return err
		}
	}
	return nil
}

func checkMountOption(typ, o string) error {
	if typ == "dev" {
		if !IsDevice(o) {
			return invalid("the device %s is not a clean name below /dev", short(o))
		}
		return nil
	}
	key, value, given := strings.Cut(o, "=")
	if given {
		key += "="
	}
	if known := mountOptions(typ); !slices.Contains(known, key) {
		return invalid("unknown option %s of %s%s", short(o), typ, hint(strings.TrimSuffix(key, "="), known))
	}
	ok := true
	switch key {
	case "size=", "nr_inodes=":
		ok = isSize(value)
	case "mode=", "ptmxmode=":
		ok = isDigits(value, 4, '7')
	case "uid=", "gid=", "max=":
		ok = isDigits(value, 10, '9')
	case "hidepid=":
		ok = slices.Contains([]string{"0", "1", "2", "4", "off", "noaccess", "invisible", "ptraceable"}, value)
	case "subset=":
		ok = value == "pid"
	}
	if !ok {
		return invalid("the option %s of %s has a bad value", short(o), typ)
	}
	return nil
}

// IsDevice reports whether s is a clean, relative name that can be looked up
// below /dev: "dri", "snd/seq".
func IsDevice(s string) bool {
	return s != "" && len(s) <= maxName && s[0] != '/' && s != "." && path.Clean("/"+s) == "/"+s &&
		strings.IndexByte(s, 0) < 0 && s != ".." && !strings.HasPrefix(s, "../")
}

// isSize accepts a number with k, m, g or % after it, as tmpfs(5) does.
func isSize(s string) bool {
	if n := len(s); n > 1 && strings.IndexByte("kmgKMG%", s[n-1]) >= 0 {
		s = s[:n-1]
	}
	return isDigits(s, 18, '9')
}

func isDigits(s string, most int, highest byte) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > highest {
			return false
		}
	}
	return s != "" && len(s) <= most
}
