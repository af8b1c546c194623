package manager

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/entrance"
)

// Where X servers have their sockets, on the host and in a guest's session, and
// where the guest finds its server's cookies.
const (
	screens    = "/tmp/.X11-unix"
	cookieFile = "/run/ninefold/xauthority"
)

// screenService is the one login program that starts an X server for its guest
// alone, and says itself which one that is.
const screenService = "lightdm"

// localDisplay is a display of this machine's, as DISPLAY names it (X(7)).
var localDisplay = regexp.MustCompile(`^:([0-9]{1,4})(\.[0-9]{1,2})?$`)

// giveScreen lends the guest the X server that it sits at, where its profile asks
// for that (project.screen): the server's socket, and its cookies, of the session
// that has been tried already and in which nothing has run. Elsewhere the guest is
// told of no display.
func (g *madeGuest) giveScreen(v *entrance.Visitor, c *namespaces.Command) error {
	isDisplay := func(e string) bool { return strings.HasPrefix(e, "DISPLAY=") }
	i := slices.IndexFunc(c.Environment, isDisplay)
	if i < 0 {
		return nil
	}
	display := localDisplay.FindStringSubmatch(strings.TrimPrefix(c.Environment[i], "DISPLAY="))
	if display == nil || g.guest.Service != screenService || !g.p.profile.Project.Screen {
		c.Environment = slices.DeleteFunc(c.Environment, isDisplay)
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("give %s its screen: %w", g.guest.Name, err) }
	cookies, err := v.Cookies()
	if err == nil && len(cookies) == 0 {
		err = errNoCookie
	}
	if err != nil {
		return fail(err)
	}
	name := screens + "/X" + display[1]
	socket, err := screenSocket(name)
	if err != nil {
		return fail(err)
	}
	defer socket.Close()
	if err := g.guest.NoteLent(name); err != nil {
		return fail(err)
	}
	if err := g.session.Lend(socket, name); err != nil {
		return fail(err)
	}
	if err := g.session.Write(plan.File{Path: cookieFile, Mode: 0o400, UID: g.guest.UID, GID: g.guest.UID, Content: string(cookies)}); err != nil {
		return fail(err)
	}
	c.Environment = append(c.Environment, "XAUTHORITY="+cookieFile)
	return nil
}

var (
	errNoCookie = errors.New("the X server's cookie did not come with it")
	errScreen   = errors.New("it is no socket of an X server that root started")
)

// screenSocket opens the socket of an X server, as O_PATH. Anybody can make names
// where it lies.
func screenSocket(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Uid != 0) {
		err = errScreen
	}
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "use", Path: name, Err: err}, f.Close())
	}
	return f, nil
}
