package finish

import (
	"errors"
	"path"
	"strings"

	"ninefold/roots/pkg"
)

const hwcapsDir = "glibc-hwcaps"

// ldconfigStep writes /etc/ld.so.cache and the links from sonames that
// packages left out, as ldconfig(8) does.
var ldconfigStep = step{
	name: "ldconfig", summary: "ld.so.cache and soname links", revision: 1,
	reads: func(v *View, _ *Params) inputs {
		dirs, err := libraryDirs(v)
		if err != nil || !v.Has("etc/ld.so.conf") && len(dirs) == 0 {
			return inputs{}
		}
		c := collect(v)
		c.path("etc/ld.so.conf")
		c.below("etc/ld.so.conf.d", nil)
		any := false
		for _, d := range dirs {
			e, _ := v.Stat(d)
			for _, name := range v.Names(e.Path) {
				if isLibraryName(name) {
					any = c.path(path.Join(e.Path, name)) || any
				}
			}
			c.below(path.Join(e.Path, hwcapsDir), nil)
		}
		if !any {
			return inputs{}
		}
		return c.inputs()
	},
	do: func(j *job) error {
		dirs, err := libraryDirs(j.view)
		if err != nil {
			return err
		}
		cache := &ldCache{}
		for _, d := range dirs {
			if err := j.ctx.Err(); err != nil {
				return err
			}
			if err := cacheDir(j, cache, d, ""); err != nil {
				return err
			}
			caps := path.Join(d, hwcapsDir)
			for _, name := range j.view.Names(caps) {
				if err := cacheDir(j, cache, path.Join(caps, name), name); err != nil {
					return err
				}
			}
		}
		return j.out.file("etc/ld.so.cache", 0o644, cache.encode())
	},
}

// found is the object that one soname of a directory leads to.
type found struct {
	name   string
	isLink bool
	flags  uint32
}

// cacheDir adds the libraries of one directory. Of several files with one
// soname a real file counts before a link, then the higher version.
func cacheDir(j *job, cache *ldCache, dir, hwcap string) error {
	e, ok := j.view.Stat(dir)
	if !ok || e.Kind != pkg.Dir {
		return nil
	}
	libs := map[string]found{}
	for _, name := range j.view.Names(e.Path) {
		if !isLibraryName(name) {
			continue
		}
		at := path.Join(e.Path, name)
		own, _ := j.view.Lookup(at)
		target, ok := j.view.Stat(at)
		if !ok || target.Kind != pkg.File {
			continue
		}
		lib, err := readLibrary(j.view, target.Path)
		if errors.Is(err, errNotLibrary) {
			continue
		}
		if err != nil {
			return err
		}
		soname := lib.soname
		if soname == "" {
			soname = name
		}
		isLink := own.Kind == pkg.Symlink
		if isLink && name != soname && !developmentLink(name, soname) {
			isLink = false
		}
		if isLink {
			soname = name
		}
		if old, ok := libs[soname]; ok {
			better := old.isLink && !isLink || old.isLink == isLink && compareLibraries(old.name, name) < 0
			if !better {
				continue
			}
		}
		libs[soname] = found{name, isLink, lib.flags}
	}
	for _, soname := range sortedKeys(libs) {
		l := libs[soname]
		if !l.isLink && l.name != soname && !strings.Contains(soname, "/") {
			// A real file whose soname has no link yet.
			at := path.Join(e.Path, soname)
			if own, there := j.view.Lookup(at); !there || own.Kind == pkg.Symlink && own.Target != l.name && !j.view.Has(at) {
				j.out.link(at, l.name)
			}
		}
		cache.add(soname, path.Join(dir, soname), l.flags, hwcap)
	}
	return nil
}

// developmentLink reports whether name is the link for ld(1), such as
// libfoo.so beside libfoo.so.1.
func developmentLink(name, soname string) bool {
	return strings.HasSuffix(name, ".so") && strings.HasPrefix(soname, name)
}
