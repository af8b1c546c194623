package kernel

import "golang.org/x/sys/unix"

// LoopbackUp brings lo up in the calling thread's network namespace.
func LoopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail("open a socket in the new network namespace", "", "", err)
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return fail("name the loopback device", "lo", "", err)
	}
	request.SetUint16(unix.IFF_UP)
	return fail("bring up", "lo", "", unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request))
}
