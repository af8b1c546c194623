package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
)

// ours are Ninefold's ways of doing the job.
func (b *bench) ours(ctx context.Context, j job) ([]contender, error) {
	p := b.jobPlan(j)
	// A program that makes many sessions keeps a thread for it.
	maker, err := newRoom(nil)
	if err != nil {
		return nil, err
	}
	cs := []contender{{nameInProcess, func(ctx context.Context) (d time.Duration, err error) {
		maker.do(func() {
			start := time.Now()
			var status namespaces.Status
			status, err = namespaces.Run(ctx, p, namespaces.Command{Argv: []string{"/bin/true"}, Here: true})
			d = time.Since(start)
			if err == nil && status.Code != 0 {
				err = fmt.Errorf("true ended with %d", status.Code)
			}
		})
		return d, err
	}}}
	sessionctl, err := b.jobProfile(ctx, j)
	if err != nil {
		// The other rows are worth having all the same.
		b.table.note("the command is not measured: %v", err)
		return cs, nil
	}
	command := func(profile string) []string {
		return append(sessionctl[:len(sessionctl):len(sessionctl)], "run", profile, "--", "/bin/true")
	}
	return append(cs, process(nameCommand, command("job")...), process(nameHost, command("host")...)), nil
}

// jobPlan is the job as a plan, its lowers being plain directories.
func (b *bench) jobPlan(j job) *plan.Plan {
	dir := func(name string) plan.Layer { return plan.Layer{Kind: plan.LayerDir, Source: j.path(name)} }
	quiet := plan.Flags{NoSuid: true, NoDev: true}
	p := &plan.Plan{Class: plan.Trusted, Ops: []plan.Op{
		plan.Namespaces{PID: true, IPC: true, UTS: true, Net: plan.NetHost, User: plan.UserHost},
		plan.Overlay{Target: "/", Lowers: []plan.Layer{dir("runtime"), dir("base")}, Upper: &plan.Upper{}},
		plan.Mount{Type: "proc", Target: "/proc", Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true}},
		plan.Mount{Type: "dev", Target: "/dev"},
		plan.Mount{Type: "devpts", Target: "/dev/pts", Flags: plan.Flags{NoSuid: true, NoExec: true}, Options: []string{"mode=620", "ptmxmode=666"}},
		plan.Mount{Type: "tmpfs", Target: "/dev/shm", Flags: quiet, Options: []string{"mode=1777"}},
		plan.Bind{Source: b.bin, Target: path.Dir(namespaces.InitPath), Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true}},
	}}
	for from, to := range writable {
		p.Ops = append(p.Ops, plan.Bind{Source: j.path("binds", from), Target: to})
	}
	for from, to := range readOnly {
		p.Ops = append(p.Ops, plan.Bind{Source: j.path("binds", from), Target: to, Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true}})
	}
	p.Ops = append(p.Ops, plan.Environment{Name: "PATH", Value: "/usr/bin:/bin"}, plan.Privileges{NoNewPrivs: true}, plan.Identity{})
	return p
}

// jobProfileText asks for the least that a profile can: bubblewrap is not asked
// for a home or a /tmp either.
const jobProfileText = `version = 1
base = "base"
runtime = "runtime"
compose = "merge"
home = "shared"
tmp = "shared"
namespace = """
%s"""
[isolation]
pid = true
ipc = true
uts = true
no_new_privs = true
[project]
identity = false
resolv = false
hosts = false
machine_id = false
timezone = false
locale = false
ca = false
`

// jobProfile builds the job's two lowers as images, writes a profile on them,
// and returns the beginning of a sessionctl command line that knows both.
func (b *bench) jobProfile(ctx context.Context, j job) ([]string, error) {
	config, state := j.path("config"), j.path("state")
	var lines strings.Builder
	for from, to := range writable {
		fmt.Fprintf(&lines, "bind %s %s\n", j.path("binds", from), to)
	}
	for from, to := range readOnly {
		fmt.Fprintf(&lines, "bind -rsd %s %s\n", j.path("binds", from), to)
	}
	recipe := func(name, from string) string {
		return fmt.Sprintf("version = 1\nname = %q\nfrom = %q\n[source]\ndirectory = %q\n[finish]\nsteps = []\n", name, from, j.path(name))
	}
	files := map[string]string{
		"recipes/base.toml": recipe("base", ""), "recipes/runtime.toml": recipe("runtime", "base"),
		"profiles/job.toml": fmt.Sprintf(jobProfileText, lines.String()),
	}
	for name, text := range files {
		name = filepath.Join(config, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	sessionctl := []string{filepath.Join(b.bin, "sessionctl"), "--config", config, "--state", state}
	_, err := timed(ctx, append(sessionctl[:len(sessionctl):len(sessionctl)], "image", "build", "runtime")...)
	// A decision is kept from files that are not just being written, as those of
	// a machine in use are.
	time.Sleep(2500 * time.Millisecond)
	return sessionctl, err
}
