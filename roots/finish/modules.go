package finish

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// triplets are the library directories of the architectures in the image:
// "usr/lib/x86_64-linux-gnu".
func triplets(v *View) []string {
	var dirs []string
	for _, d := range v.Names("usr/lib") {
		if strings.HasSuffix(d, "-linux-gnu") || strings.HasSuffix(d, "-linux-gnueabihf") {
			dirs = append(dirs, path.Join("usr/lib", d))
		}
	}
	return dirs
}

// firstOf returns the first path that exists.
func firstOf(v *View, paths ...string) string {
	for _, p := range paths {
		if e, ok := v.Stat(p); ok && e.Kind == pkg.File {
			return p
		}
	}
	return ""
}

// modules lists the plug-ins of a directory.
func modules(v *View, dir string) []string {
	var list []string
	for _, n := range v.Names(dir) {
		if strings.HasSuffix(n, ".so") {
			list = append(list, path.Join(dir, n))
		}
	}
	return list
}

func absolute(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = "/" + p
	}
	return out
}

func is(paths ...string) func(string) bool {
	return func(p string) bool { return slices.Contains(paths, p) }
}

const schemasDir = "usr/share/glib-2.0/schemas"

func schemaCompiler(v *View) string {
	var c []string
	for _, t := range triplets(v) {
		c = append(c, path.Join(t, "glib-2.0/glib-compile-schemas"))
	}
	return firstOf(v, append(c, "usr/bin/glib-compile-schemas")...)
}

var glibSchemasStep = step{
	name: "glib-schemas", summary: "gschemas.compiled by glib-compile-schemas", revision: 1, tool: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		tool := schemaCompiler(v)
		if tool == "" || !c.below(schemasDir, func(e *pkg.Entry) bool { return path.Base(e.Path) != "gschemas.compiled" }) {
			return inputs{}
		}
		c.tool(tool)
		return c.inputs()
	},
	do: func(j *job) error {
		// --allow-any-name is what Debian's trigger does not pass either.
		return j.run.do(j, []tool{{argv: []string{"/" + schemaCompiler(j.view), "/" + schemasDir}}},
			is(schemasDir+"/gschemas.compiled"))
	},
}

// gioDirs are the module directories with a giomodule.cache.
func gioDirs(v *View, triplet string) []string {
	var dirs []string
	for _, d := range []string{"gio/modules", "gtk-4.0/4.0.0/media", "gtk-4.0/4.0.0/printbackends", "gtk-4.0/4.0.0/immodules"} {
		if d = path.Join(triplet, d); len(modules(v, d)) > 0 {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

var gioModulesStep = step{
	name: "gio-modules", summary: "giomodule.cache by gio-querymodules", revision: 1, tool: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		for _, t := range triplets(v) {
			tool := path.Join(t, "glib-2.0/gio-querymodules")
			dirs := gioDirs(v, t)
			if !v.Has(tool) || len(dirs) == 0 {
				continue
			}
			c.tool(tool)
			for _, d := range dirs {
				c.path(d)
				c.tool(modules(v, d)...)
			}
		}
		return c.inputs()
	},
	do: func(j *job) error {
		for _, t := range triplets(j.view) {
			query := path.Join(t, "glib-2.0/gio-querymodules")
			dirs := gioDirs(j.view, t)
			if !j.view.Has(query) || len(dirs) == 0 {
				continue
			}
			argv := append([]string{"/" + query}, absolute(dirs)...)
			err := j.run.do(j, []tool{{argv: argv}}, func(p string) bool {
				return path.Base(p) == "giomodule.cache" && slices.Contains(dirs, parent(p))
			})
			if err != nil {
				return err
			}
		}
		return sortGioCaches(j)
	},
}

// sortGioCaches orders the lines, which come in the order of the directory.
func sortGioCaches(j *job) error {
	for p, e := range j.out.entries {
		f, err := j.out.objects.Object(e.Digest)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		_, err = b.ReadFrom(f)
		f.Close()
		if err != nil {
			return err
		}
		lines := strings.SplitAfter(b.String(), "\n")
		slices.Sort(lines)
		if err := j.out.file(p, 0o644, []byte(strings.Join(lines, ""))); err != nil {
			return err
		}
	}
	return nil
}

// query describes a tool that prints the cache of the modules that it is
// given: GTK's input methods, gdk-pixbuf's loaders.
type query struct {
	tools   []string // below the triplet, the first that exists
	modules string
	cache   string
}

func (q query) step(name, summary string) step {
	find := func(v *View, t string) (string, []string) {
		var c []string
		for _, p := range q.tools {
			c = append(c, path.Join(t, p))
		}
		return firstOf(v, c...), modules(v, path.Join(t, q.modules))
	}
	return step{
		name: name, summary: summary, revision: 1, tool: true,
		reads: func(v *View, _ *Params) inputs {
			c := collect(v)
			for _, t := range triplets(v) {
				if tool, mods := find(v, t); tool != "" && len(mods) > 0 {
					c.tool(tool)
					c.tool(mods...)
				}
			}
			return c.inputs()
		},
		do: func(j *job) error {
			var tools []tool
			for _, t := range triplets(j.view) {
				if prog, mods := find(j.view, t); prog != "" && len(mods) > 0 {
					// The modules are named, in order: the tool alone would
					// take them as the directory gives them.
					tools = append(tools, tool{argv: append([]string{"/" + prog}, absolute(mods)...), to: path.Join(t, q.cache)})
				}
			}
			return j.run.do(j, tools, is())
		},
	}
}

var pixbufStep = query{
	tools:   []string{"gdk-pixbuf-2.0/gdk-pixbuf-query-loaders"},
	modules: "gdk-pixbuf-2.0/2.10.0/loaders",
	cache:   "gdk-pixbuf-2.0/2.10.0/loaders.cache",
}.step("pixbuf-loaders", "loaders.cache by gdk-pixbuf-query-loaders")

var gtk2Step = query{
	tools:   []string{"libgtk2.0-0t64/gtk-query-immodules-2.0", "libgtk2.0-0/gtk-query-immodules-2.0"},
	modules: "gtk-2.0/2.10.0/immodules",
	cache:   "gtk-2.0/2.10.0/immodules.cache",
}.step("gtk2-immodules", "immodules.cache by gtk-query-immodules-2.0")

var gtk3Step = query{
	tools:   []string{"libgtk-3-0t64/gtk-query-immodules-3.0", "libgtk-3-0/gtk-query-immodules-3.0"},
	modules: "gtk-3.0/3.0.0/immodules",
	cache:   "gtk-3.0/3.0.0/immodules.cache",
}.step("gtk3-immodules", "immodules.cache by gtk-query-immodules-3.0")
