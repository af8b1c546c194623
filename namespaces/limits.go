package namespaces

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// cgroupFiles are the limits that a cgroup enforces, and the file of each.
var cgroupFiles = map[string]string{"memory": "memory.max", "tasks": "pids.max"}

// CanLimit reports whether this machine can hold a whole session to the limit
// "memory" or "tasks".
func CanLimit(name string) bool {
	controller, _, ok := strings.Cut(cgroupFiles[name], ".")
	return ok && slices.Contains(kernel.CgroupControllers(), controller)
}

var cgroupNumber atomic.Uint64

// limit notes one limit step.
func (f *firstProcess) limit(op plan.Limit) error {
	value := strconv.FormatUint(op.Value, 10)
	if file, ok := cgroupFiles[op.Name]; ok {
		if f.cgroup == nil {
			f.cgroup = map[string]string{}
		}
		if op.Value == plan.Unlimited {
			value = "max"
		}
		f.cgroup[file] = value
		return nil
	}
	n, ok := kernel.RlimitNumber(op.Name)
	if !ok {
		return fmt.Errorf("%w: %q is not a limit of prlimit(1), nor memory or tasks", ErrPlan, op.Name)
	}
	if f.class != plan.Trusted {
		// Nobody but root raises what the launcher itself is bound to.
		most, err := kernel.RlimitMax(n)
		if err != nil {
			return err
		}
		value = strconv.FormatUint(min(op.Value, most), 10)
	}
	f.limits = append(f.limits, strconv.Itoa(n)+"="+value)
	return nil
}

// makeCgroup makes the cgroup that the limits ask for. It happens before the
// view is built, while the host's cgroup tree is in reach; ninefold-init
// removes it with the session.
func (b *builder) makeCgroup() error {
	if b.first.cgroup == nil {
		return nil
	}
	c, err := newCgroup(b.first.cgroup)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	b.cgroup = &c
	return nil
}

func newCgroup(set map[string]string) (c kernel.Cgroup, err error) {
	kernel.SweepCgroups()
	err = unix.EEXIST
	for tries := 0; tries < 64 && errors.Is(err, unix.EEXIST); tries++ {
		c, err = kernel.NewCgroup(fmt.Sprintf("%d-%d", os.Getpid(), cgroupNumber.Add(1)), set)
	}
	return c, err
}
