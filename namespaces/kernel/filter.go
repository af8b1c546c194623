package kernel

import (
	"encoding/binary"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// FilterFile writes a BPF program, in the kernel's struct sock_filter layout,
// to a sealed memory file (memfd_create(2)) that nobody can change afterwards.
func FilterFile(program []bpf.RawInstruction) (*os.File, error) {
	fd, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fail("make a memory file", "", "", err)
	}
	f := os.NewFile(uintptr(fd), "seccomp")
	if err := binary.Write(f, binary.NativeEndian, program); err != nil {
		f.Close()
		return nil, err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, fail("seal a memory file", "", "", err)
	}
	return f, nil
}
