package plan

// DiskOwner is whose everything on a Disk is, by the file system itself: nobody's,
// which systemd, too, gives the directories that it keeps for users without an id of their
// own (UIDS-GIDS in systemd's documentation). So no id that is given out anew ever
// stands on a disk.
const DiskOwner = 65534

// MinDisk is the least that ext4 and its journal are of use in, in bytes.
const MinDisk = 8 << 20

// keptHome mounts the home of a guest whose profile keeps one.
func (c *compiler) keptHome(flags Flags) {
	u := c.spec.User
	c.add(Disk{Source: c.spec.HomeDisk, Target: u.Home, Size: c.spec.Upper.Size, UID: u.UID, GID: u.GID, Flags: flags})
}

// checkKeptHome refuses a home that is kept where it would not be one user's at a
// time, or where somebody else than root asks for room on the machine's disk.
func checkKeptHome(s *Spec) error {
	switch {
	case s.Home != "kept":
		return nil
	case !s.Guest:
		return invalid("profile %s: a home is kept for users that exist for one session", s.Profile)
	case s.ProfileOrigin != 0:
		return &problem{"profile " + s.Profile + ": a home is kept for profiles of root's", ErrForbidden}
	case s.HomeDisk == "":
		return invalid("profile %s: there is no file for the home that is kept", s.Profile)
	}
	return nil
}

func checkDisk(d Disk) error {
	if err := checkPath("source", d.Source); err != nil {
		return err
	}
	if d.Size < MinDisk {
		return invalid("a disk of %d bytes is too small; at least 8M", d.Size)
	}
	if d.UID == 0 || d.GID == 0 {
		return invalid("the disk %s is to be root's", short(d.Source))
	}
	if err := checkIDs(d.UID, d.GID); err != nil {
		return err
	}
	return checkTarget(d.Target)
}

func (a *args) disk() Op {
	d := Disk{}
	a.options("rsdx", d.Flags.option)
	d.Source, d.Target = a.one("SOURCE"), a.one("TARGET")
	a.pairs(pair{"size=", a.size(&d.Size)}, pair{"uid=", a.id(&d.UID)}, pair{"gid=", a.id(&d.GID)})
	return d
}
