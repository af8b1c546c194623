package kernel

import (
	"encoding/binary"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// FilterFile writes a BPF program, in the kernel's struct sock_filter layout,
// to a sealed memory file (memfd_create(2)) that nobody can change afterwards.
func FilterFile(program []bpf.RawInstruction) (FD, error) {
	raw, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return None, fail("make a memory file", "", "", err)
	}
	fd := FD(raw)
	code := make([]byte, 0, 8*len(program))
	for _, i := range program {
		code = binary.NativeEndian.AppendUint16(code, i.Op)
		code = append(code, i.Jt, i.Jf)
		code = binary.NativeEndian.AppendUint32(code, i.K)
	}
	n, err := unix.Write(raw, code)
	if err != nil || n != len(code) {
		fd.Close()
		return None, fail("write a memory file", "", "", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(raw), unix.F_ADD_SEALS, seals); err != nil {
		fd.Close()
		return None, fail("seal a memory file", "", "", err)
	}
	return fd, nil
}
