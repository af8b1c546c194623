package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/namespaces/kernel"
	"ninefold/roots/build"
	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/rebuild"
	"ninefold/roots/store"
)

// compare builds the images of all a second time, by another process in an empty
// store, and notes in all what is not the same.
func (r *request) compare(ctx context.Context, c build.Config, all []outcome) error {
	// The directory is swept away by the next build if this one is killed.
	dir, remove, err := c.Store.TempDir("check")
	if err != nil {
		return err
	}
	defer remove()
	if err := r.second(ctx, c, dir); err != nil {
		return err
	}
	other, err := store.Open(filepath.Join(dir, "store"))
	if err != nil {
		return err
	}
	defer other.Close()
	var pairs [][2]image.ID
	for _, o := range all {
		lease, err := c.Store.Lease(o.ID)
		if err != nil {
			return err
		}
		defer lease.Close()
		again, err := other.Resolve(o.Name)
		if err != nil {
			return fmt.Errorf("build a second time: %w", err)
		}
		pairs = append(pairs, [2]image.ID{o.ID, again})
	}
	found, err := rebuild.Compare(ctx, c.Store, other.WithProgress(c.Progress), pairs)
	if err != nil {
		return fmt.Errorf("compare two builds: %w", err)
	}
	if found, err = exports(ctx, c.Store, dir, all, pairs, found); err != nil {
		return err
	}
	for i := range all {
		same := pairs[i][0] == pairs[i][1]
		for _, d := range found {
			if d.Image == all[i].Name {
				all[i].Differences = append(all[i].Differences, d)
				same = false
			}
		}
		all[i].Same = &same
	}
	return nil
}

// exportsFile is where the second build notes what it exported, below its state.
const exportsFile = "exports"

// exports adds to what was found the images that both builds made, and export to something else.
func exports(ctx context.Context, s *store.Store, dir string, all []outcome, pairs [][2]image.ID, found []rebuild.Difference) ([]rebuild.Difference, error) {
	b, err := os.ReadFile(filepath.Join(dir, exportsFile))
	if err != nil {
		return nil, err
	}
	var second rebuild.Exports
	if err := json.Unmarshal(b, &second); err != nil {
		return nil, fmt.Errorf("what the second build exported: %w", err)
	}
	var ids []image.ID
	for _, o := range all {
		ids = append(ids, o.ID)
	}
	first, err := rebuild.SumExports(ctx, s, ids)
	if err != nil {
		return nil, err
	}
	for _, form := range first.Lacks() {
		fmt.Fprintf(os.Stderr, "warning: what images export to %s is not compared: its program is not installed\n", form)
	}
	for i, o := range all {
		if what := first.Compare(second, o.ID); pairs[i][0] == pairs[i][1] && len(what) > 0 {
			found = append(found, rebuild.Difference{Image: o.Name, What: what})
		}
	}
	return found, nil
}

// second starts the second build. It differs from this one in what must not
// matter: directory, host name, time, time zone, language, user name, umask,
// number of threads and, by the way in which it mounts images, the order in which
// directories are read. What was downloaded is used again, since every package
// is checked against the lock.
func (r *request) second(ctx context.Context, c build.Config, dir string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	state, err := filepath.Abs(c.State)
	if err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(state, "debs"), filepath.Join(dir, "debs")); err != nil {
		return err
	}
	args := []string{"--again", "--state=" + dir, "--json=" + fmt.Sprint(r.json), "--offline=" + fmt.Sprint(r.offline)}
	if r.config != "" {
		args = append(args, "--config="+r.config)
	}
	child := exec.CommandContext(ctx, program, append(append(args, "--"), r.recipes...)...)
	child.Stderr = os.Stderr
	child.Env = elsewhere(r.recipes)
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUTS, Pdeathsig: unix.SIGTERM}
	child.Cancel = func() error { return child.Process.Signal(unix.SIGTERM) }
	child.WaitDelay = 30 * time.Second
	// A clock that is read for its seconds must be seen to have been read.
	select {
	case <-time.After(time.Until(time.Now().Truncate(time.Second).Add(time.Second))):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	// Pdeathsig is about the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = child.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.Exited() {
		return &exit.Error{Code: exit.Code(ended.ExitCode()), Err: errors.New("the second build failed, though the first did not")}
	}
	if err != nil {
		return fmt.Errorf("build a second time: %w", err)
	}
	return nil
}

// kept are variables that say how the network is reached, and whom to tell how
// far it is.
var kept = []string{"NOTIFY_SOCKET", "PATH", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSH_AUTH_SOCK"}

// elsewhere is the second build's environment.
func elsewhere(recipes []string) []string {
	env := []string{"USER=elsewhere", "LOGNAME=elsewhere", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "TZ=Pacific/Kiritimati",
		fmt.Sprintf("GOMAXPROCS=%d", runtime.GOMAXPROCS(0)+1)}
	home := "/nonexistent"
	for _, r := range recipes {
		if strings.HasPrefix(r, "git+") {
			home = os.Getenv("HOME") // git finds there how to log in
		}
	}
	env = append(env, "HOME="+home)
	for _, name := range kept {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// elsewhere is the second build, in the process that second starts.
func (r *request) elsewhere(ctx context.Context, c build.Config, names []string) error {
	unix.Umask(0o077)
	if err := kernel.Hostname("elsewhere"); err != nil {
		return err
	}
	c.Driver = driver.Farm{Backwards: true}
	all, err := r.each(ctx, c, names)
	if err != nil {
		return err
	}
	var ids []image.ID
	for _, o := range all {
		ids = append(ids, o.ID)
	}
	sums, err := rebuild.SumExports(ctx, c.Store, ids)
	if err != nil {
		return err
	}
	b, err := json.Marshal(sums)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.State, exportsFile), b, 0o600)
}

// differ is the error for what the check found.
func differ(all []outcome) error {
	n, first := 0, rebuild.Difference{}
	for _, o := range all {
		if n == 0 && len(o.Differences) > 0 {
			first = o.Differences[0]
		}
		n += len(o.Differences)
	}
	switch n {
	case 0:
		for _, o := range all {
			if o.Same != nil && !*o.Same {
				return fmt.Errorf("image %s: %w, as those of what it stands on do", o.Name, rebuild.ErrDiffers)
			}
		}
		return nil
	case 1:
		return fmt.Errorf("image %s: %w in %s (%s)", first.Image, rebuild.ErrDiffers, subject(first), strings.Join(first.What, ", "))
	}
	return fmt.Errorf("image %s: %w in %s (%s), and in %d other places", first.Image, rebuild.ErrDiffers, subject(first), strings.Join(first.What, ", "), n-1)
}

// subject names what differs.
func subject(d rebuild.Difference) string {
	switch {
	case d.Path != "" && d.Package != "":
		return "/" + d.Path + " of " + d.Package
	case d.Path != "":
		return "/" + d.Path
	case d.Package != "":
		return d.Package
	}
	return "the image"
}
