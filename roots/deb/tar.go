package deb

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"ninefold/roots/pkg"
)

const tarBlock = 512

// tar reads a whole tar archive (ustar, GNU and pax forms).
func (im *importer) tar(r io.Reader) error {
	in := &blocks{r: r}
	tr := tar.NewReader(in)
	for {
		if err := im.ctx.Err(); err != nil {
			return context.Cause(im.ctx)
		}
		in.listen, in.zeros = true, 0
		h, err := tr.Next()
		in.listen = false
		if err == io.EOF {
			// The library takes the end of input at a header for the end of the
			// archive; a whole one ends in a block of zeros. The padding of the
			// file before is shorter than a block.
			if in.zeros < tarBlock {
				return malformed("truncated: the tar archive has no end mark")
			}
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return malformed("tar archive: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			if err := globalHeader(h); err != nil {
				return err
			}
			continue
		}
		it, err := tarItem(h, tr)
		if err != nil {
			return err
		}
		if err := im.add(it); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, tr); err != nil {
			return malformed("%s: %w", short(h.Name), err)
		}
	}
}

// blocks counts the zeros that the input ends in, while it is asked to.
type blocks struct {
	r      io.Reader
	listen bool
	zeros  int
}

func (b *blocks) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.listen {
		for _, c := range p[:n] {
			if c == 0 {
				b.zeros++
			} else {
				b.zeros = 0
			}
		}
	}
	return n, err
}

// globalHeader accepts the comment that git archive writes.
func globalHeader(h *tar.Header) error {
	for k := range h.PAXRecords {
		if k != "comment" {
			return malformed("a global pax header sets %q", k)
		}
	}
	return nil
}

func tarItem(h *tar.Header, content io.Reader) (*item, error) {
	it := &item{content: content, user: h.Uname, group: h.Gname, mtimeSeconds: h.ModTime.Unix()}
	it.Path = h.Name
	it.Mode = uint32(h.Mode & 0o7777)
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= math.MaxUint32 || int64(h.Gid) >= math.MaxUint32 {
		return nil, malformed("%s: owner %d:%d is out of range", short(h.Name), h.Uid, h.Gid)
	}
	it.UID, it.GID = uint32(h.Uid), uint32(h.Gid)
	for k, v := range h.PAXRecords {
		switch name, ok := strings.CutPrefix(k, "SCHILY.xattr."); {
		case ok:
			keep, err := keepXattr(name)
			if err != nil {
				return nil, malformed("%s: %w", short(h.Name), err)
			}
			if keep {
				it.Xattrs = append(it.Xattrs, pkg.Xattr{Name: name, Value: []byte(v)})
			}
		case strings.HasPrefix(k, "GNU.sparse."):
			it.special = "sparse files do not belong in a package"
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		it.Kind, it.Size = pkg.File, h.Size
	case tar.TypeDir:
		it.Kind = pkg.Dir
	case tar.TypeSymlink:
		it.Kind, it.target = pkg.Symlink, h.Linkname
	case tar.TypeLink:
		it.Kind, it.link = pkg.File, h.Linkname
		if h.Linkname == "" {
			return nil, malformed("%s: hard link to nothing", short(h.Name))
		}
	case tar.TypeChar, tar.TypeBlock:
		it.Kind = pkg.Char
		if h.Typeflag == tar.TypeBlock {
			it.Kind = pkg.Block
		}
		if h.Devmajor < 0 || h.Devminor < 0 || h.Devmajor > math.MaxUint32 || h.Devminor > math.MaxUint32 {
			return nil, malformed("%s: device numbers are out of range", short(h.Name))
		}
		it.Major, it.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	case tar.TypeFifo:
		it.Kind = pkg.Fifo
	case tar.TypeGNUSparse:
		it.special = "sparse files do not belong in a package"
	default:
		it.special = fmt.Sprintf("unknown kind %q of tar member", h.Typeflag)
	}
	if it.Kind != pkg.Dir && strings.HasSuffix(h.Name, "/") {
		it.special = "a name that ends in a slash is no directory's"
	}
	return it, nil
}

// keepXattr decides about an extended attribute. Labels of a security module
// belong to the machine's policy, not to the files, and are dropped.
func keepXattr(name string) (bool, error) {
	switch {
	case name == pkg.CapabilityAttribute || strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay."):
		return true, nil
	case name == "security.selinux" || name == "security.ima" || name == "security.evm" || strings.HasPrefix(name, "security.apparmor"):
		return false, nil
	}
	return false, malformed("extended attribute %q does not belong in a package", name)
}
