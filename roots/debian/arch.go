package debian

import "runtime"

// Arch returns Debian's name for the architecture that this program runs on
// (Debian policy 11.1).
func Arch() string {
	switch runtime.GOARCH {
	case "386":
		return "i386"
	case "arm":
		return "armhf"
	case "ppc64le":
		return "ppc64el"
	case "mips64le":
		return "mips64el"
	case "loong64":
		return "loong64"
	}
	return runtime.GOARCH
}
