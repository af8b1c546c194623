package finish

import (
	"encoding/binary"
	"path"
	"strings"

	"ninefold/roots/pkg"
)

const (
	iconsDir      = "usr/share/icons"
	iconCacheName = "icon-theme.cache"
)

// iconsStep writes icon-theme.cache for each theme. The format is GTK's
// (docs/iconcache.txt in its source): an index from icon name to the
// directories that hold it, so it follows from the names alone.
var iconsStep = step{
	name: "icons", summary: "icon-theme.cache of every icon theme", revision: 1,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		for _, theme := range iconThemes(v) {
			c.below(path.Join(iconsDir, theme), func(e *pkg.Entry) bool { return path.Base(e.Path) != iconCacheName })
			c.path(path.Join(iconsDir, theme))
		}
		return c.inputs()
	},
	do: func(j *job) error {
		for _, theme := range iconThemes(j.view) {
			dir, ok := j.view.Stat(path.Join(iconsDir, theme))
			if !ok {
				continue
			}
			cache := newIconCache()
			cache.scan(j.view, dir.Path, "", 0)
			if len(cache.icons) == 0 {
				continue
			}
			if err := j.out.file(path.Join(dir.Path, iconCacheName), 0o644, cache.encode()); err != nil {
				return err
			}
		}
		return nil
	},
}

func iconThemes(v *View) []string {
	var themes []string
	for _, name := range v.Names(iconsDir) {
		if v.Has(path.Join(iconsDir, name, "index.theme")) {
			themes = append(themes, name)
		}
	}
	return themes
}

// The flags of an icon in a directory.
const (
	iconXPM = 1 << iota
	iconSVG
	iconPNG
)

type iconImage struct{ dir, flags uint16 }

type iconCache struct {
	dirs  []string
	names []string // in the order found
	icons map[string][]iconImage
}

func newIconCache() *iconCache { return &iconCache{icons: map[string][]iconImage{}} }

// maxIconDepth ends the walk where a link leads back up.
const maxIconDepth = 8

// scan gathers the images below dir, which is sub inside the theme, through
// links to directories, which themes use for sizes and scales.
func (c *iconCache) scan(v *View, dir, sub string, depth int) {
	if depth > maxIconDepth {
		return
	}
	index := -1
	var subs []string
	for _, name := range v.Names(dir) {
		p := path.Join(dir, name)
		e, ok := v.Stat(p)
		if !ok {
			continue
		}
		if e.Kind == pkg.Dir {
			subs = append(subs, name)
			continue
		}
		flag, stem := iconFlag(name)
		if flag == 0 || sub == "" || e.Kind != pkg.File {
			continue
		}
		if index < 0 {
			index = len(c.dirs)
			c.dirs = append(c.dirs, sub)
		}
		c.add(stem, uint16(index), flag)
	}
	for _, name := range subs {
		if len(c.dirs) < 1<<16-1 {
			c.scan(v, path.Join(dir, name), path.Join(sub, name), depth+1)
		}
	}
}

func (c *iconCache) add(name string, dir, flag uint16) {
	images, known := c.icons[name]
	if !known {
		c.names = append(c.names, name)
	}
	if n := len(images); n > 0 && images[n-1].dir == dir {
		images[n-1].flags |= flag
	} else {
		images = append(images, iconImage{dir, flag})
	}
	c.icons[name] = images
}

func iconFlag(name string) (flag uint16, stem string) {
	for ext, f := range map[string]uint16{".png": iconPNG, ".svg": iconSVG, ".xpm": iconXPM} {
		if stem, ok := strings.CutSuffix(name, ext); ok && stem != "" {
			return f, stem
		}
	}
	return 0, ""
}

const noOffset = 0xffffffff

// encode lays the cache out: header, directory list, hash table, then each
// icon with its name and images. All numbers are big-endian.
func (c *iconCache) encode() []byte {
	be := binary.BigEndian
	b := make([]byte, 12) // version 1.0, offset of the hash, offset of the directories
	be.PutUint16(b[0:], 1)
	be.PutUint32(b[8:], uint32(len(b)))

	str := func(s string) uint32 {
		at := len(b)
		b = append(b, s...)
		b = append(b, 0)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		return uint32(at)
	}
	at := len(b)
	b = append(b, make([]byte, 4+4*len(c.dirs))...)
	be.PutUint32(b[at:], uint32(len(c.dirs)))
	for i, d := range c.dirs {
		off := str(d)
		be.PutUint32(b[at+4+4*i:], off)
	}

	buckets := iconBuckets(len(c.names))
	hash := len(b)
	be.PutUint32(b[4:], uint32(hash))
	b = be.AppendUint32(b, uint32(buckets))
	for range buckets {
		b = be.AppendUint32(b, noOffset)
	}
	// Prepending to a bucket's chain needs no look back; walking the names
	// backwards keeps each chain in the order found.
	for i := len(c.names) - 1; i >= 0; i-- {
		name := c.names[i]
		slot := hash + 4 + 4*int(iconHash(name)%uint32(buckets))
		node := len(b)
		b = append(b, make([]byte, 12)...)
		copy(b[node:node+4], b[slot:slot+4])
		be.PutUint32(b[slot:], uint32(node))
		off := str(name)
		be.PutUint32(b[node+4:], off)
		be.PutUint32(b[node+8:], uint32(len(b)))
		images := c.icons[name]
		b = be.AppendUint32(b, uint32(len(images)))
		for _, m := range images {
			b = be.AppendUint16(b, m.dir)
			b = be.AppendUint16(b, m.flags)
			b = be.AppendUint32(b, 0) // no image data: the index alone
		}
	}
	return b
}

// iconBuckets keeps the chains short; any number is valid.
func iconBuckets(names int) int { return names/3*2 + 1 }

// iconHash is the hash of the format: over signed bytes, times 31.
func iconHash(s string) uint32 {
	if s == "" {
		return 0
	}
	h := uint32(int32(int8(s[0])))
	for i := 1; i < len(s); i++ {
		h = h<<5 - h + uint32(int32(int8(s[i])))
	}
	return h
}
