package plan

import "path"

// DotsDir is where the dotfiles of profiles lie below the home: DotsDir/PROFILE.
const DotsDir = ".local/ninefold"

// DotDirs are the directories of programs' settings and data below the home
// (the XDG base directories), and by which names they lie in DotsDir/PROFILE.
var DotDirs = [...]struct{ Dir, Name string }{
	{".config", "config"}, {".local/share", "share"}, {".local/state", "state"}, {".cache", "cache"},
}

// ownConfig is Ninefold's own in the shared home. The daemon reads it there,
// so that is what a session has to see, too.
const ownConfig = ".config/ninefold"

// dotfiles puts directories of the profile's own in the place of DotDirs. They
// are binds, and no variables (XDG_CONFIG_HOME): many programs do not look at
// those, and a service that the user manager starts need not have them. They
// are made and opened as the user, whose home it is.
func (c *compiler) dotfiles(flags Flags) {
	u := c.spec.User
	own := path.Join(u.Home, DotsDir, c.spec.Profile)
	for _, d := range DotDirs {
		c.add(Bind{Source: path.Join(own, d.Name), Target: path.Join(u.Home, d.Dir), AsUser: u.UID != 0, Make: true, Flags: flags})
	}
	shared := path.Join(u.Home, ownConfig)
	c.add(Bind{Source: shared, Target: shared, Recursive: true, AsUser: u.UID != 0, Optional: true, Flags: flags})
}
