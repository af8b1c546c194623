package namespaces

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// InitPath is where a session's first process lies in its root: a plan binds
// the host's directory that holds it at this place.
const InitPath = plan.LibDir + "/ninefold-init"

// firstProcess is what a plan says about the first process, as opposed to the view.
type firstProcess struct {
	namespaces  plan.Namespaces
	class       plan.Class
	identity    plan.Identity
	hasIdentity bool
	privileges  plan.Privileges
	capBits     uint64
	bounding    uint64
	limits      []string // resource limits, "number=value"
	cgroup      *cgroup  // nil without cgroup limits
	environment []string
	dir         string
	devpts      string // where devpts is mounted, for a terminal
	proc        bool
}

// collect reads the steps that the first process carries out.
func (f *firstProcess) collect(p *plan.Plan) error {
	f.dir = "/"
	for _, op := range p.Ops {
		switch op := op.(type) {
		case plan.Identity:
			f.identity, f.hasIdentity = op, true
		case plan.Privileges:
			f.privileges = op
			bits, err := capabilityBits(op.Capabilities)
			if err != nil {
				return err
			}
			f.capBits = bits
			if f.bounding, err = capabilityBits(op.Bounding); err != nil {
				return err
			}
		case plan.Limit:
			if err := f.limit(op); err != nil {
				return err
			}
		case plan.Environment:
			f.setenv(op.Name, op.Value)
		case plan.Chdir:
			f.dir = op.Dir
		case plan.Mount:
			switch op.Type {
			case "devpts":
				f.devpts = op.Target
			case "proc":
				f.proc = op.Target == "/proc"
			}
		}
	}
	if !f.hasIdentity {
		return fmt.Errorf("%w: it does not say who the session is for", ErrPlan)
	}
	return nil
}

// setenv sets a variable in place of one that has the same name.
func (f *firstProcess) setenv(name, value string) {
	for i, have := range f.environment {
		if strings.HasPrefix(have, name+"=") {
			f.environment[i] = name + "=" + value
			return
		}
	}
	f.environment = append(f.environment, name+"="+value)
}

// arguments builds ninefold-init's command line. Descriptors are numbered as
// they are passed: 3 lifeline, 4 status, 5 seccomp filter, 6 session
// to join, 7 and 8 the cgroup and its parent, 9 its cgroup.procs.
func (f *firstProcess) arguments(c Command, filter bool, extra ...string) []string {
	id := f.identity
	argv := []string{
		"ninefold-init", "-l", "3", "-s", "4",
		"-u", strconv.FormatUint(uint64(id.UID), 10), "-g", strconv.FormatUint(uint64(id.GID), 10),
		"-d", f.dir,
	}
	argv = append(argv, extra...)
	add := func(yes bool, words ...string) {
		if yes {
			argv = append(argv, words...)
		}
	}
	add(filter, "-f", "5")
	add(c.TTY, "-t")
	add(f.privileges.NoNewPrivs, "-n")
	add(f.capBits != 0, "-k", strconv.FormatUint(f.capBits, 10))
	add(f.bounding != 0, "-b", strconv.FormatUint(f.bounding, 10))
	add(len(id.Groups) > 0, "-G", joinGroups(id.Groups))
	for _, l := range f.limits {
		argv = append(argv, "-L", l)
	}
	if len(c.Argv) == 0 {
		return argv // nothing is executed that would have an environment
	}
	env := firstProcess{environment: slices.Clone(f.environment)}
	for _, e := range c.Environment {
		name, value, _ := strings.Cut(e, "=")
		env.setenv(name, value)
	}
	for _, e := range env.environment {
		argv = append(argv, "-e", e)
	}
	argv = append(argv, "--")
	return append(argv, c.Argv...)
}

func joinGroups(groups []uint32) string {
	words := make([]string, len(groups))
	for i, g := range groups {
		words[i] = strconv.FormatUint(uint64(g), 10)
	}
	return strings.Join(words, ",")
}

// clone says which namespaces come with the first process: the PID namespace,
// and the user namespace with a second mount namespace, which locks every
// mount made so far (mount_namespaces(7)). But for a range, ids are mapped to
// themselves, so that files look as they are; no capability reaches a process of the session
// that could act on the ids beyond its own.
func (f *firstProcess) clone() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{}
	if f.namespaces.PID {
		attr.Cloneflags |= unix.CLONE_NEWPID
	}
	if f.namespaces.User == plan.UserMapped {
		attr.Cloneflags |= unix.CLONE_NEWUSER | unix.CLONE_NEWNS
		all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1<<32 - 2}}
		attr.UidMappings, attr.GidMappings = all, all
		attr.GidMappingsEnableSetgroups = true
	}
	if ns := f.namespaces; ns.User == plan.UserRange {
		attr.Cloneflags |= unix.CLONE_NEWUSER | unix.CLONE_NEWNS
		attr.UidMappings, attr.GidMappings = kernel.RangeMap(ns.First), kernel.RangeMap(ns.First)
		attr.GidMappingsEnableSetgroups = true
		// The host's root is nobody inside, and would lose everything by executing.
		attr.Credential = &syscall.Credential{}
	}
	return attr
}
