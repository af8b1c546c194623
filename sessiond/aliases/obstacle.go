package aliases

import "slices"

// Obstacle says why there must be no aliases on this machine, or "", and the
// directories in which that is written. root is put before every path.
func Obstacle(root string) (why string, dirs []string) {
	why, dirs = readSSHD(root)
	if why == "" {
		why = readPAM(root)
	}
	dirs = append(dirs, "/etc", "/etc/pam.d")
	slices.Sort(dirs)
	return why, slices.Compact(dirs)
}
