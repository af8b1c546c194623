package views

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/process"
	"ninefold/sessiond/profile"
	"ninefold/sessiond/units"
)

// adoptTimeout bounds the wait for a scope, for which the end of the daemon waits.
const adoptTimeout = 2 * time.Second

// make makes a view. Until the last step the holder ends with us, so whatever
// happens in between leaves nothing but a record, which Recover removes.
func (vs *Views) make(ctx context.Context, u identity.User, p *profile.Profile, own bool) (_ *View, err error) {
	login, err := vs.o.Manager().Login(ctx, p, u, own)
	if err != nil {
		return nil, err
	}
	// The holder keeps the locks; ours are needed until it has them.
	defer login.Release()
	v := &View{vs: vs, until: time.Now().Add(vs.o.Grace)}
	v.rec = journal.Record{ID: newID(u.UID), UID: u.UID, User: u.Name, Profile: p.Name, Class: string(login.Plan.Class),
		Plan: plan.Print(login.Plan), Layers: login.Layers, Environment: login.Environment, Notes: login.Notes,
		Isolated: isolated(login.Plan), Created: time.Now().UTC()}
	v.kept, v.told = keepsRoot(login.Plan), login.Told
	v.rec.Scope = "ninefold-view-" + v.rec.ID + ".scope"
	if own {
		v.rec.Unit = units.ManagerPrefix + v.rec.ID + ".service"
		v.rec.Notes = append(v.rec.Notes, "it has a user manager and a runtime directory of its own, beside those of user@.service")
	}
	if err := vs.o.Journal.Write(&v.rec); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			v.closeFiles()
			err = errors.Join(err, vs.o.Journal.Remove(v.rec.ID))
		}
	}()
	s, err := start(v, u, p, login)
	if err != nil {
		return nil, err
	}
	if err := vs.commit(v, s, u, login); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	vs.adoptSoon(v)
	vs.o.Log.Info("view made", "view", v.rec.ID, "user", u.Name, "profile", p.Name, "took", time.Since(v.rec.Created).Round(10*time.Microsecond))
	return v, nil
}

func (vs *Views) commit(v *View, s *namespaces.Session, u identity.User, login *manager.Login) error {
	var err error
	r := &v.rec
	r.Holder.PID = s.PID()
	if r.Holder.Start, err = process.StartTime(s.PID()); err != nil {
		return err
	}
	if v.ns, r.MountNS, err = openNamespaces(s.PID(), r.Isolated); err != nil {
		return err
	}
	if r.Lacks, err = vs.inspect(s.PID(), u); err != nil {
		return fmt.Errorf("profile %s: %w", r.Profile, err)
	}
	if err := prove(s, login); err != nil {
		return fmt.Errorf("profile %s: %w", r.Profile, err)
	}
	if err := vs.o.Journal.Write(r); err != nil {
		return err
	}
	v.layers = heldLayers(r.Holder)
	v.pidfd, err = s.Detach()
	return err
}

// adoptSoon has the holder given its scope while the login goes on: systemd takes
// several times as long for it as making the view took.
func (vs *Views) adoptSoon(v *View) {
	v.adopted = make(chan struct{})
	vs.wg.Go(func() {
		defer close(v.adopted)
		vs.adopt(context.Background(), v)
	})
}

// adopt gives the holder its scope. Without one the view works, and ends when
// the daemon's unit is stopped; Recover tries again.
func (vs *Views) adopt(ctx context.Context, v *View) {
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	what := "Ninefold view of " + v.rec.User + " in profile " + v.rec.Profile
	if err := vs.o.Units.Adopt(ctx, v.rec.Scope, what, v.rec.Holder.PID); err != nil && !v.isEnded() {
		vs.o.Log.Warn("a view has no scope of its own; it would end with the daemon's unit", "view", v.rec.ID, "error", err)
	}
}

// keepsRoot reports whether the root of p keeps what is written to it.
func keepsRoot(p *plan.Plan) bool {
	o, ok := p.Ops[1].(plan.Overlay)
	return ok && o.Upper != nil && o.Upper.Dir != ""
}

// isolated names the namespaces that p makes.
func isolated(p *plan.Plan) []string {
	out := []string{"mount"}
	if n, ok := p.Ops[0].(plan.Namespaces); ok {
		if n.IPC {
			out = append(out, "ipc")
		}
		if n.UTS {
			out = append(out, "uts")
		}
		if n.User == plan.UserMapped {
			out = append(out, "user")
		}
	}
	return out
}

// namespace is one open namespace of a view. The open file keeps it alive,
// should the holder be killed.
type namespace struct {
	kind string
	file *os.File
}

// namespaceFiles are the names in /proc/PID/ns.
var namespaceFiles = map[string]string{"mount": "mnt", "ipc": "ipc", "uts": "uts", "user": "user"}

func openNamespaces(pid int, kinds []string) (out []namespace, mount uint64, err error) {
	defer func() {
		if err != nil {
			for _, n := range out {
				n.file.Close()
			}
		}
	}()
	for _, kind := range kinds {
		f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/" + namespaceFiles[kind])
		if err != nil {
			return out, 0, err
		}
		out = append(out, namespace{kind, f})
		if kind == "mount" {
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil {
				return out, 0, err
			}
			mount = st.Ino
		}
	}
	return out, mount, nil
}

// Namespaces returns copies of the namespaces of v, mount first, with their
// kinds. They are the caller's.
func (v *View) Namespaces() (files []*os.File, kinds []string, err error) {
	v.vs.mu.Lock()
	defer v.vs.mu.Unlock()
	if v.ended {
		return nil, nil, fmt.Errorf("view %s has ended", v.rec.ID)
	}
	for _, n := range v.ns {
		fd, err := unix.FcntlInt(n.file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, nil, err
		}
		files, kinds = append(files, os.NewFile(uintptr(fd), n.file.Name())), append(kinds, n.kind)
	}
	return files, kinds, nil
}

func (v *View) closeFiles() {
	for _, n := range v.ns {
		n.file.Close()
	}
	v.ns = nil
	if v.layers != nil {
		v.layers.Close()
		v.layers = nil
	}
	if v.pidfd != nil {
		v.pidfd.Close()
		v.pidfd = nil
	}
}

// sftpServers are where the servers that sshd starts lie.
var sftpServers = []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"}

// inspect looks whether a login would find its programs in the root of a
// view: its shell, and what Options.Needs names. It returns what else the host
// has and the root lacks. Names are resolved inside the root, whatever links
// it holds, and nothing is opened but to look at.
func (vs *Views) inspect(pid int, u identity.User) (lacks []string, err error) {
	fd, err := openRoot(pid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	shell := u.Shell
	if shell == "" {
		shell = "/bin/sh"
	}
	if !program(fd, shell) {
		return nil, fmt.Errorf("%w: it has no %s, the login shell of %s", ErrUnusable, shell, u.Name)
	}
	for _, name := range vs.o.Needs {
		if !program(fd, name) {
			return nil, fmt.Errorf("%w: it has no %s, which every login needs", ErrUnusable, name)
		}
	}
	for _, name := range sftpServers {
		if hostHas(name) && !program(fd, name) {
			lacks = append(lacks, "sftp")
		}
	}
	for what, name := range xPrograms {
		if hostHas(name) && !program(fd, name) {
			lacks = append(lacks, what)
		}
	}
	return lacks, nil
}

// openRoot opens the root of pid to look at what is in it.
func openRoot(pid int) (fd int, err error) {
	fd, err = unix.Open("/proc/"+strconv.Itoa(pid)+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("look into the root: %w", err)
	}
	return fd, nil
}

// xPrograms are what display managers run as the user before a session's own
// command: a script that lightdm starts X sessions by, and what sddm writes the
// X server's cookie with.
var xPrograms = map[string]string{"xsession": "/etc/X11/Xsession", "xauth": "/usr/bin/xauth"}

func hostHas(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

func program(root int, name string) bool {
	fd, err := kernel.OpenIn(kernel.FD(root), name, unix.O_PATH)
	if err != nil {
		return false
	}
	defer fd.Close()
	var st unix.Stat_t
	return unix.Fstat(fd.Int(), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0
}
