package entrance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxCookies bounds the cookies of an X server.
const maxCookies = 16 << 10

// errCookie says that a file holds no cookies.
var errCookie = errors.New("the X server's cookies are not understood")

// Cookies returns the cookies that the visitor brought for its X server, so that
// they hold whatever the machine and the display are called: a session has names
// of its own. It is empty where there are none.
func (v *Visitor) Cookies() ([]byte, error) {
	if len(v.Files) < 4 {
		return nil, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(v.Files[3].Fd()), &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxCookies {
		return nil, fmt.Errorf("%w: they are not in a file of at most %d bytes", errCookie, maxCookies)
	}
	b, err := io.ReadAll(io.NewSectionReader(v.Files[3], 0, maxCookies))
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: "the X server's cookies", Err: err}
	}
	return anywhere(b)
}

// anywhere makes cookies good for every machine and display: of each entry (Xauth(7)),
// family, address, number of the display, name and data, the family becomes
// FamilyWild, and there is no address and no number.
func anywhere(b []byte) ([]byte, error) {
	var out []byte
	for len(b) > 0 {
		if len(b) < 2 {
			return nil, errCookie
		}
		b = b[2:]
		out = append(out, 0xff, 0xff, 0, 0, 0, 0)
		for field := range 4 {
			if len(b) < 2 {
				return nil, errCookie
			}
			n := 2 + int(binary.BigEndian.Uint16(b))
			if len(b) < n {
				return nil, errCookie
			}
			if field > 1 {
				out = append(out, b[:n]...)
			}
			b = b[n:]
		}
	}
	return out, nil
}
