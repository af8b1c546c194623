package plan

// MediaDirs are where a desktop mounts what people plug in, for one of them or
// for all.
var MediaDirs = [...]string{"/media", "/run/media"}

// media lets in what is plugged in, mounts that come later included, or keeps
// it out. In a login /run is the host's, so that what is not to be seen there
// is covered.
func (c *compiler) media() {
	for _, dir := range MediaDirs {
		shared := c.spec.Login && below(dir, "/run")
		switch {
		case c.spec.Media && !shared:
			c.add(Bind{Source: dir, Target: dir, Recursive: true, Optional: true, Flags: Flags{NoSuid: true, NoDev: true}})
		case !c.spec.Media && shared:
			c.add(Mount{Type: "tmpfs", Target: dir, Flags: inert, Options: []string{"mode=0755", "size=64k"}})
		}
	}
}
