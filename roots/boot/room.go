package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// spare is what stays free on a partition: the distribution writes there, too.
const spare = 4 << 20

// room is an error that wraps unix.ENOSPC when it is plain that the files will not fit: files is where
// kernel and initramfs go. It changes nothing. The initramfs is no smaller than the machine's own, which has
// the same configuration; what an earlier image has makes room.
func (m *Machine) room(files string, r Request) error {
	need, err := sizes(m.at("boot/vmlinuz-" + r.Kernel))
	if err != nil {
		return err
	}
	own, err := sizes(m.at("boot/initrd.img-" + r.Kernel))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	freed, err := sizes(filepath.Join(files, "linux"), filepath.Join(files, "initrd"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fits("kernel and initramfs", filepath.Dir(files), need+own-freed); err != nil {
		return err
	}
	if freed = 0; r.Size == 0 {
		return nil
	}
	if rec, err := m.read(); err == nil {
		if freed, err = sizes(rec.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fits("the image", m.State, r.Size-freed)
}

// sizes is how large files are together; of one that is not there 0 is added, and the error says so.
func sizes(files ...string) (total int64, err error) {
	for _, f := range files {
		st, e := os.Stat(f)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		total += st.Size()
	}
	return total, err
}

// fits is an error that wraps unix.ENOSPC when what needs so many bytes does not fit into the file system of dir.
func fits(what, dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("how much is free on %s: %w", dir, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < need+spare {
		return fmt.Errorf("%s: %d MiB are needed on %s, where %d MiB are free: %w", what, (need+spare)>>20+1, dir, free>>20, unix.ENOSPC)
	}
	return nil
}
