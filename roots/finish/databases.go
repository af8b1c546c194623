package finish

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

const (
	mimeDir   = "usr/share/mime"
	mimeTool  = "usr/bin/update-mime-database"
	dconfTool = "usr/bin/dconf"
	dconfDir  = "etc/dconf/db"
	gconvTool = "usr/sbin/iconvconfig"
	hwdbTool  = "usr/bin/systemd-hwdb"
	hwdbOut   = "usr/lib/udev/hwdb.bin"
)

func below(dir string) func(string) bool {
	return func(p string) bool { return strings.HasPrefix(p, dir+"/") }
}

var mimeStep = step{
	name: "mime-database", summary: "the shared MIME database by update-mime-database", revision: 1, tool: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		if !v.Has(mimeTool) || !c.below(mimeDir+"/packages", nil) {
			return inputs{}
		}
		c.tool(mimeTool)
		return c.inputs()
	},
	do: func(j *job) error {
		return j.run.do(j, []tool{{
			argv: []string{"/" + mimeTool, "/" + mimeDir},
			// The result is copied out and synced once, with everything else.
			env: []string{"PKGSYSTEM_ENABLE_FSYNC=0"},
		}}, below(mimeDir))
	},
}

var dconfStep = step{
	name: "dconf", summary: "the system databases of dconf", revision: 1, tool: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		if !v.Has(dconfTool) || !c.below(dconfDir, func(e *pkg.Entry) bool { return strings.Contains(e.Path, ".d/") }) {
			return inputs{}
		}
		c.tool(dconfTool)
		return c.inputs()
	},
	do: func(j *job) error {
		return j.run.do(j, []tool{{argv: []string{"/" + dconfTool, "update", "/" + dconfDir}}}, below(dconfDir))
	},
}

var gconvStep = step{
	name: "gconv", summary: "gconv-modules.cache by iconvconfig", revision: 1, tool: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		any := false
		for _, t := range triplets(v) {
			any = c.below(path.Join(t, "gconv"), func(e *pkg.Entry) bool {
				return strings.HasPrefix(path.Base(e.Path), "gconv-modules") && path.Base(e.Path) != "gconv-modules.cache" || strings.HasSuffix(e.Path, ".conf")
			}) || any
		}
		if !any || !v.Has(gconvTool) {
			return inputs{}
		}
		c.tool(gconvTool)
		return c.inputs()
	},
	do: func(j *job) error {
		return j.run.do(j, []tool{{argv: []string{"/" + gconvTool}}},
			func(p string) bool { return path.Base(p) == "gconv-modules.cache" })
	},
}

var hwdbStep = step{
	name: "hwdb", summary: "udev's hardware database by systemd-hwdb", revision: 1, tool: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		any := c.below("usr/lib/udev/hwdb.d", nil)
		any = c.below("etc/udev/hwdb.d", nil) || any
		if !any || !v.Has(hwdbTool) {
			return inputs{}
		}
		c.tool(hwdbTool)
		return c.inputs()
	},
	do: func(j *job) error {
		return j.run.do(j, []tool{{argv: []string{"/" + hwdbTool, "update", "--usr"}}}, is(hwdbOut))
	},
}

// runStep runs the recipe's own commands. They may read anything, so the whole
// tree decides whether they run again.
var runStep = step{
	name: "run", summary: "the recipe's own commands", revision: 2,
	reads: func(v *View, p *Params) inputs {
		if len(p.Run) == 0 {
			return inputs{}
		}
		in := inputs{extra: fmt.Appendf(nil, "%q", p.Run)}
		if len(p.Fetched) > 0 {
			in.extra = fmt.Appendf(in.extra, "%q", p.Fetched)
		}
		in.entries = slices.Collect(v.Below(""))
		// Commands can tell which names are of one file.
		for i := range in.entries {
			if e := &in.entries[i]; e.Link != "" {
				in.extra = fmt.Appendf(in.extra, "%q%q", e.Path, e.Link)
			}
		}
		return in
	},
	do: func(j *job) error {
		var tools []tool
		for _, line := range j.params.Run {
			tools = append(tools, tool{argv: []string{"/bin/sh", "-e", "-c", line}})
		}
		return j.run.do(j, tools, func(p string) bool { return p != auxCache })
	},
}

// auxCache is where ldconfig keeps the inode numbers and times of libraries, which
// no two machines share; without it the next ldconfig reads them anew.
const auxCache = "var/cache/ldconfig/aux-cache"
