package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/api"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/process"
)

// ErrViewGone says that what holds a view has ended.
var ErrViewGone = errors.New("what holds the view has ended; nobody new can enter it")

// EnterView runs a command in the live view v as its user, r.Command or the
// login shell. file is the view's namespace file, from the daemon: it says
// whom the command runs as, and with what. It takes root.
func EnterView(ctx context.Context, v api.View, file string, r Request) (namespaces.Status, error) {
	fail := func(err error) (namespaces.Status, error) {
		return namespaces.Status{}, fmt.Errorf("enter view %s: %w", v.ID, err)
	}
	if os.Geteuid() != 0 {
		return fail(ErrNotRoot)
	}
	p, err := plan.Parse(v.ID, []byte(file))
	if err != nil {
		return fail(err)
	}
	u, err := identity.Host{}.ByUID(ctx, v.UID)
	if err != nil {
		return fail(err)
	}
	argv := r.Command
	if len(argv) == 0 {
		argv = []string{cmp.Or(u.Shell, "/bin/sh"), "-l"}
	}
	holder, err := holderOf(v)
	if err != nil {
		return fail(err)
	}
	defer holder.Close()
	p.Ops = append(p.Ops, liveEnvironment(v)...)
	s, err := namespaces.Join(p, holder, v.Holder, namespaces.Command{
		Argv: argv, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, TTY: decided.IsTerminal(r.Stdin) && decided.IsTerminal(r.Stdout)})
	if err != nil {
		return fail(err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Signal(unix.SIGTERM) })()
	defer decided.Forward(s)()
	return s.Wait()
}

// holderOf opens the holder of v. That the process behind the pidfd is in the
// view's mount namespace is the proof that it is the holder: a number alone
// could be another's by now.
func holderOf(v api.View) (*os.File, error) {
	fd, err := unix.PidfdOpen(v.Holder, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, ErrViewGone
	}
	f := os.NewFile(uintptr(fd), "pidfd of "+strconv.Itoa(v.Holder))
	ns, err := process.MountNS(v.Holder)
	if err != nil || ns != v.MountNS {
		f.Close()
		return nil, ErrViewGone
	}
	// Alive after its number was used, it was the one that was looked at.
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0); err != nil || n > 0 {
		f.Close()
		return nil, ErrViewGone
	}
	return f, nil
}

// liveEnvironment is what was not there yet when the view was made: the
// terminal in front of the caller, and the user's runtime directory and bus.
func liveEnvironment(v api.View) []plan.Op {
	env := []plan.Op{plan.Environment{Name: "NINEFOLD_VIEW", Value: v.ID}}
	if t := decided.Terminal(); t != "" {
		env = append(env, plan.Environment{Name: "TERM", Value: t})
	}
	dir := fmt.Sprintf("/run/user/%d", v.UID)
	if st, err := os.Lstat(dir); err == nil && st.IsDir() {
		env = append(env, plan.Environment{Name: "XDG_RUNTIME_DIR", Value: dir},
			plan.Environment{Name: "DBUS_SESSION_BUS_ADDRESS", Value: "unix:path=" + dir + "/bus"})
	}
	return env
}
