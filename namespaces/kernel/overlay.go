package kernel

import (
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// OverlayFeatures is what the overlay of this kernel can.
type OverlayFeatures struct {
	// LayerList: layers are given one by one ("lowerdir+", "datadir+"; 6.8).
	LayerList bool
	// LayerFD: a layer is given as a descriptor (6.13).
	LayerFD bool
	// DataOnly: lowers that only hold content for metadata layers (6.5).
	DataOnly bool
}

// Overlay reports this kernel's overlay features; it is asked once.
var Overlay = sync.OnceValue(probeOverlay)

func probeOverlay() OverlayFeatures {
	var f OverlayFeatures
	raw, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return f
	}
	fs := FD(raw)
	defer fs.Close()
	// Before 6.5 the kernel takes any option and looks at it when mounting.
	looks := unix.FsconfigSetString(raw, "ninefold", "probe") != nil
	f.LayerList = looks && unix.FsconfigSetString(raw, "lowerdir+", "/") == nil
	if root, err := OpenHost("/"); err == nil {
		f.LayerFD = f.LayerList && unix.FsconfigSetFd(raw, "lowerdir+", int(root)) == nil
		root.Close()
	}
	// Data-only layers ("::") came with the same release as the option parser.
	f.DataOnly = looks
	return f
}

// Release returns the running kernel's version numbers (uname(2)).
func Release() (major, minor int) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return 0, 0
	}
	n := [2]int{}
	i := 0
	for _, c := range u.Release {
		switch {
		case c >= '0' && c <= '9':
			n[i] = n[i]*10 + int(c-'0')
		case c == '.' && i == 0:
			i = 1
		default:
			return n[0], n[1]
		}
	}
	return n[0], n[1]
}

// OverlayMount describes one overlay. All descriptors are O_PATH or mounts
// that are attached in the calling thread's mount namespace; they stay the
// caller's and may be closed afterwards: the overlay keeps its own copies.
type OverlayMount struct {
	Lowers []FD // topmost first
	Data   []FD // data-only lowers
	Upper  FD   // None for a read-only overlay
	Work   FD
	Attr   Attr
	// Volatile leaves out syncing: for an upper that is thrown away anyway. A
	// kept upper must not be volatile: after a crash it could not be mounted again.
	Volatile bool
	// Metacopy lets lowers refer to content in Data (or in a lower).
	Metacopy bool
	// Source is what mountinfo shows as the source.
	Source string
}

// NewOverlay mounts an overlay, detached.
func NewOverlay(o OverlayMount, have OverlayFeatures) (FD, error) {
	options := []Option{Text("source", o.Source)}
	layer := func(name string, fd FD) {
		if have.LayerFD {
			options = append(options, File(name, fd))
		} else {
			options = append(options, Text(name, fd.Proc()))
		}
	}
	if have.LayerList {
		for _, fd := range o.Lowers {
			layer("lowerdir+", fd)
		}
		for _, fd := range o.Data {
			layer("datadir+", fd)
		}
	} else {
		options = append(options, Text("lowerdir", joinLayers(o.Lowers, o.Data)))
	}
	if o.Upper != None {
		layer("upperdir", o.Upper)
		layer("workdir", o.Work)
		if o.Volatile {
			options = append(options, Flag("volatile"))
		}
	}
	if o.Metacopy {
		options = append(options, Text("metacopy", "on"), Text("redirect_dir", "on"))
	}
	options = append(options, Text("xino", "auto"))
	return NewMount("overlay", o.Attr, options...)
}

func joinLayers(lowers, data []FD) string {
	var b strings.Builder
	for i, fd := range lowers {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(fd.Proc())
	}
	for _, fd := range data {
		b.WriteString("::")
		b.WriteString(fd.Proc())
	}
	return b.String()
}
