package script

import (
	"strings"

	"ninefold/roots/pkg"
)

// settled says what a command declares that cannot be read, because the script
// decides it by looking at the machine. The text must still stand in the
// command, so that a new version of the script is looked at again.
type settled struct {
	pkg, script, text string
	declared          pkg.Declared
}

var settledCommands = []settled{
	// The ratio follows from the boot loader that is installed; a composed root
	// has none, and the script then prefers 4:3.
	{"desktop-base", "postinst", "desktop-grub ${active_grub_first_ratio} 50", pkg.Declared{Alternatives: []pkg.Alternative{grubBackground("4x3", 50)}}},
	{"desktop-base", "postinst", "desktop-grub ${active_grub_second_ratio} 45", pkg.Declared{Alternatives: []pkg.Alternative{grubBackground("16x9", 45)}}},
}

func grubBackground(ratio string, priority int) pkg.Alternative {
	const theme = "/usr/share/desktop-base/active-theme/grub/"
	return pkg.Alternative{
		Name: "desktop-grub", Link: "/usr/share/images/desktop-base/desktop-grub.png",
		Path: theme + "grub-" + ratio + ".png", Priority: priority,
		Slaves: map[string]string{"/usr/share/desktop-base/grub_background.sh": theme + "grub_background.sh"},
	}
}

// settle looks a command up and takes what it declares from the table.
func (r *reader) settle(text string) bool {
	for _, k := range settledCommands {
		if k.pkg == r.in.Package && k.script == r.name && strings.Contains(text, k.text) {
			d := &r.res.Declared
			d.Alternatives = append(d.Alternatives, k.declared.Alternatives...)
			d.Capabilities = append(d.Capabilities, k.declared.Capabilities...)
			d.Overrides = append(d.Overrides, k.declared.Overrides...)
			for _, u := range k.declared.Users {
				*r.accounts.user(u.Name) = u
			}
			for _, g := range k.declared.Groups {
				r.accounts.group(g.Name, g.GID)
			}
			return true
		}
	}
	return false
}
