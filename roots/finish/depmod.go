package finish

import (
	"path"
	"strings"

	"ninefold/roots/pkg"
)

const (
	depmodTool = "usr/sbin/depmod"
	modulesDir = "usr/lib/modules"
)

// depmodStep makes what modprobe(8) and udev look modules up in, for each kernel
// that the image has modules of: modules.dep and its kin, as the install script
// of a kernel package has depmod(8) do it.
var depmodStep = step{
	name: "depmod", summary: "the indexes of kernel modules by depmod", revision: 1, tool: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		if !v.Has(depmodTool) || !c.below(modulesDir, func(e *pkg.Entry) bool { return e.Kind == pkg.File }) {
			return inputs{}
		}
		c.below("etc/depmod.d", nil)
		c.below("usr/lib/depmod.d", nil)
		c.tool(depmodTool)
		return c.inputs()
	},
	do: func(j *job) error {
		var tools []tool
		for _, version := range j.view.Names(modulesDir) {
			if e, ok := j.view.Stat(path.Join(modulesDir, version)); ok && e.Kind == pkg.Dir {
				tools = append(tools, tool{argv: []string{"/" + depmodTool, version}})
			}
		}
		return j.run.do(j, tools, func(p string) bool {
			return strings.HasPrefix(p, modulesDir+"/") && strings.HasPrefix(path.Base(p), "modules.")
		})
	},
}
