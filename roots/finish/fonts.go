package finish

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

const (
	fontCacheTool = "usr/bin/fc-cache"
	fontCacheDir  = "var/cache/fontconfig"
	fontScaleTool = "usr/bin/mkfontscale"
	xFontsDir     = "usr/share/fonts/X11"
	xFontsConf    = "etc/X11/fonts"
)

// fontconfigStep fills fontconfig's cache. A cache names its directory's time
// and content, both of which an image fixes, so it holds wherever the image is
// mounted.
var fontconfigStep = step{
	name: "fontconfig", summary: "fontconfig's caches by fc-cache", revision: 1, tool: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		if !v.Has(fontCacheTool) {
			return inputs{}
		}
		any := false
		for _, d := range []string{"usr/share/fonts", "usr/local/share/fonts"} {
			c.path(d)
			any = c.below(d, nil) || any
		}
		if !any {
			return inputs{}
		}
		c.below("etc/fonts", nil)
		c.below("usr/share/fontconfig", nil)
		c.tool(fontCacheTool)
		return c.inputs()
	},
	do: func(j *job) error {
		return j.run.do(j, []tool{{argv: []string{"/" + fontCacheTool, "--system-only", "--force"}}}, func(p string) bool {
			return path.Dir(p) == fontCacheDir && strings.Contains(path.Base(p), ".cache-")
		})
	},
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
