package finish

import (
	"bytes"
	"crypto/md5" //nolint:gosec // fontconfig names its files by it
	"encoding/xml"
	"fmt"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

const (
	// fontCacheTool writes the caches that are missing, as every program with
	// fontconfig does that may. fc-cache would sleep two seconds after that,
	// for the sake of file systems with coarse times.
	fontCacheTool = "usr/bin/fc-match"
	fontCacheDir  = "var/cache/fontconfig"
	fontScaleTool = "usr/bin/mkfontscale"
	xFontsDir     = "usr/share/fonts/X11"
	xFontsConf    = "etc/X11/fonts"
)

var fontDirs = []string{"usr/share/fonts", "usr/local/share/fonts"}

// fontconfigStep fills fontconfig's cache, each family's directory by itself:
// reading fonts is slow, and most images have most families in common. A cache
// names its directory's time and content, both of which an image fixes, so it
// holds wherever the image is mounted.
var fontconfigStep = step{
	name: "fontconfig", summary: "fontconfig's caches, a family at a time", revision: 1, tool: true,
	expand: func(v *View) []step {
		if !v.Has(fontCacheTool) {
			return nil
		}
		var parts []step
		for _, top := range fontDirs {
			for _, kind := range v.Names(top) {
				for _, family := range v.Names(path.Join(top, kind)) {
					dir := path.Join(top, kind, family)
					if e, ok := v.Lookup(dir); ok && e.Kind == pkg.Dir {
						parts = append(parts, fontFamily(dir))
					}
				}
			}
		}
		return parts
	},
}

func fontFamily(dir string) step {
	return step{
		name: "fontconfig", revision: 1, tool: true,
		reads: func(v *View, _ *Params) inputs {
			c := collect(v)
			if !c.below(dir, nil) {
				return inputs{}
			}
			c.path(dir)
			fontRules(c)
			in := c.inputs()
			in.extra = []byte(dir)
			return in
		},
		do: func(j *job) error {
			// With the system's configuration it would read all families.
			return j.run.do(j, []tool{{
				argv: []string{"/" + fontCacheTool},
				env:  []string{"FONTCONFIG_FILE=/" + familyConf},
				seed: map[string]string{familyConf: familyConfig(j.view, dir)},
				hide: cachesOf(j.view, subdirectories(j.view, dir)),
			}}, isFontCache)
		},
	}
}

// familyConf is where the sandbox of one family has its configuration; the
// name is one that nothing else uses.
const familyConf = "ninefold-fonts.conf"

func familyConfig(v *View, dir string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd"><fontconfig><dir>`)
	_ = xml.EscapeText(&b, []byte("/"+dir)) // a Builder does not fail
	b.WriteString("</dir><cachedir>/" + fontCacheDir + "</cachedir>")
	for _, p := range scanRules(v) {
		b.WriteString("<include>")
		_ = xml.EscapeText(&b, []byte("/"+p))
		b.WriteString("</include>")
	}
	b.WriteString("</fontconfig>\n")
	return b.String()
}

// fontTreesStep adds the caches of the directories above the families. The
// families' own are valid by now and are passed over.
var fontTreesStep = step{
	name: "fontconfig-trees", summary: "fontconfig's caches of the directories above the families", revision: 1,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		if !v.Has(fontCacheTool) || !slices.ContainsFunc(fontDirs, v.Has) {
			return inputs{}
		}
		for _, top := range fontDirs {
			c.path(top)
			c.below(top, func(e *pkg.Entry) bool {
				return e.Kind == pkg.Dir || strings.Count(e.Path[len(top):], "/") <= 2
			})
		}
		c.path("etc/fonts/fonts.conf")
		fontRules(c)
		return c.inputs()
	},
	do: func(j *job) error {
		return j.run.do(j, []tool{{argv: []string{"/" + fontCacheTool}, hide: cachesOf(j.view, aboveFamilies(j.view))}}, isFontCache)
	},
}

// aboveFamilies are the directories that no family's step covers.
func aboveFamilies(v *View) []string {
	var dirs []string
	for _, top := range fontDirs {
		dirs = append(dirs, top)
		for _, kind := range v.Names(top) {
			dirs = append(dirs, path.Join(top, kind))
		}
	}
	return dirs
}

func subdirectories(v *View, dir string) []string {
	dirs := []string{dir}
	for e := range v.Below(dir) {
		if e.Kind == pkg.Dir {
			dirs = append(dirs, e.Path)
		}
	}
	return dirs
}

// cachesOf finds the caches that the image has of these directories already,
// a parent image's: a package may have added to a directory without moving its
// time, by which fontconfig tells a stale cache. A cache is named after the MD5
// of its directory's path.
func cachesOf(v *View, dirs []string) []string {
	named := map[string]bool{}
	for _, d := range dirs {
		named[fmt.Sprintf("%x", md5.Sum([]byte("/"+d)))] = true
	}
	var list []string
	for _, n := range v.Names(fontCacheDir) {
		if sum, _, _ := strings.Cut(n, "-"); named[sum] {
			list = append(list, path.Join(fontCacheDir, n))
		}
	}
	return list
}

func isFontCache(p string) bool {
	return path.Dir(p) == fontCacheDir && strings.Contains(path.Base(p), ".cache-")
}

// scanRules are the configuration files that fonts are read by: of the many
// rules only those with target="scan" come into a cache.
func scanRules(v *View) []string {
	var list []string
	for _, n := range v.Names("etc/fonts/conf.d") {
		p := path.Join("etc/fonts/conf.d", n)
		if !strings.HasSuffix(n, ".conf") {
			continue
		}
		if text, err := v.Read(p); err == nil && bytes.Contains(text, []byte(`"scan"`)) {
			list = append(list, p)
		}
	}
	return list
}

func fontRules(c *collector) {
	for _, p := range scanRules(c.view) {
		c.path(p)
	}
	c.tool(fontCacheTool)
}

// xFontDirs are the directories of the X server's own font path.
func xFontDirs(v *View) []string {
	var dirs []string
	for _, n := range v.Names(xFontsDir) {
		d := path.Join(xFontsDir, n)
		if slices.ContainsFunc(v.Names(d), isXFont) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

func isXFont(name string) bool {
	name = strings.TrimSuffix(name, ".gz")
	switch path.Ext(name) {
	case ".pcf", ".bdf", ".pfa", ".pfb", ".ttf", ".otf":
		return true
	}
	return false
}

var xfontsStep = step{
	name: "x-fonts", summary: "fonts.dir, fonts.scale and fonts.alias of the X server's fonts", revision: 1, tool: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		dirs := xFontDirs(v)
		if !v.Has(fontScaleTool) || len(dirs) == 0 {
			return inputs{}
		}
		for _, d := range dirs {
			c.path(d)
			c.below(d, func(e *pkg.Entry) bool { return isXFont(e.Path) })
			c.below(path.Join(xFontsConf, path.Base(d)), nil)
		}
		c.below(path.Join(xFontsDir, "encodings"), nil)
		c.tool(fontScaleTool)
		return c.inputs()
	},
	do: func(j *job) error {
		var tools []tool
		dirs := xFontDirs(j.view)
		for _, d := range dirs {
			tools = append(tools,
				tool{argv: []string{"/" + fontScaleTool, "/" + d}},
				tool{argv: []string{"/" + fontScaleTool, "-b", "-s", "-l", "/" + d}})
		}
		err := j.run.do(j, tools, func(p string) bool {
			return slices.Contains(dirs, parent(p)) && (path.Base(p) == "fonts.dir" || path.Base(p) == "fonts.scale")
		})
		if err != nil {
			return err
		}
		return fontAliases(j, dirs)
	},
}

// fontAliases joins the *.alias files that packages keep for a directory.
func fontAliases(j *job, dirs []string) error {
	for _, d := range dirs {
		var b bytes.Buffer
		conf := path.Join(xFontsConf, path.Base(d))
		for _, n := range j.view.Names(conf) {
			e, ok := j.view.Stat(path.Join(conf, n))
			if !ok || e.Kind != pkg.File || !strings.HasSuffix(n, ".alias") {
				continue
			}
			text, err := j.view.Read(e.Path)
			if err != nil {
				return err
			}
			b.Write(append(bytes.TrimRight(text, "\n"), '\n'))
		}
		if b.Len() == 0 {
			continue
		}
		if err := j.out.file(path.Join(d, "fonts.alias"), 0o644, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
