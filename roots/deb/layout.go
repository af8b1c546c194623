package deb

import "ninefold/roots/pkg"

// LayoutName is the name of the package that Layout returns.
const LayoutName = "_layout"

// libDirs are the further library directories of an architecture that have a
// link at the root (the ABI puts dynamic linkers there).
var libDirs = map[string][]string{
	"amd64":   {"lib32", "lib64", "libx32"},
	"i386":    {"lib64", "libx32"},
	"ppc64el": {"lib64"},
	"loong64": {"lib64"},
	"s390x":   {"lib32"},
}

// Layout is the package that every root of an architecture (Debian's name)
// begins with: the links of a merged /usr, which Convert takes out of all
// packages, and the directories that are there before any package is (FHS 3.0).
func Layout(arch string) *pkg.Package {
	p := &pkg.Package{Name: LayoutName, Version: "1", Arch: arch}
	dir := func(mode uint32, paths ...string) {
		for _, path := range paths {
			p.Entries = append(p.Entries, pkg.Entry{Path: path, Kind: pkg.Dir, Mode: mode})
		}
	}
	dir(0o755, "boot", "dev", "etc", "home", "media", "mnt", "opt", "proc", "run", "srv", "sys", "usr", "usr/share",
		"var", "var/cache", "var/lib", "var/log", "var/spool")
	dir(0o700, "root")
	dir(0o1777, "tmp", "var/tmp")
	for _, d := range append([]string{"bin", "lib", "sbin"}, libDirs[arch]...) {
		dir(0o755, "usr/"+d)
		p.Entries = append(p.Entries, pkg.Entry{Path: d, Kind: pkg.Symlink, Mode: 0o777, Target: "usr/" + d})
	}
	p.Sort()
	return p
}
