package namespaces

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// cgroupLimit is a limit that a cgroup enforces.
type cgroupLimit struct {
	file string
	// shared is set for a share of the machine, which counts among the cgroups
	// beside it. Sessions with the same ones have theirs together.
	shared bool
	// text is what to write for a value other than plan.Unlimited.
	text func(value uint64) string
}

var cgroupLimits = map[string]cgroupLimit{
	"memory": {file: "memory.max"},
	"swap":   {file: "memory.swap.max"},
	"tasks":  {file: "pids.max"},
	// In hundredths of one processor, and the kernel's usual period of 100 ms.
	"cpu_quota":  {file: "cpu.max", text: func(v uint64) string { return decimal(v*1000) + " 100000" }},
	"cpu_weight": {file: "cpu.weight", shared: true},
	"io_weight":  {file: "io.weight", shared: true},
	"io_max":     {file: "io.max", text: eachDisk},
}

func decimal(v uint64) string { return strconv.FormatUint(v, 10) }

// eachDisk bounds what is read and what is written in a second on each of the
// machine's disks: the devices of hardware, whatever is built on them.
func eachDisk(v uint64) string {
	var lines strings.Builder
	disks, _ := filepath.Glob("/sys/block/*/device")
	for _, d := range disks {
		if number, err := os.ReadFile(filepath.Join(filepath.Dir(d), "dev")); err == nil {
			fmt.Fprintf(&lines, "%s rbps=%d wbps=%d\n", strings.TrimSpace(string(number)), v, v)
		}
	}
	return lines.String()
}

// CanLimit reports whether this machine can hold a whole session to a limit that
// is none of one process.
func CanLimit(name string) bool {
	l, ok := cgroupLimits[name]
	return ok && kernel.CanSetCgroup(l.file)
}

var cgroupNumber atomic.Uint64

// limit notes one limit step.
func (f *firstProcess) limit(op plan.Limit) error {
	value := strconv.FormatUint(op.Value, 10)
	if l, ok := cgroupLimits[op.Name]; ok {
		f.bound(l, op.Value)
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

// cgroup is what a session's cgroup is to be like.
type cgroup struct{ shared, own map[string]string }

// bound notes a limit of the cgroup's.
func (f *firstProcess) bound(l cgroupLimit, v uint64) {
	if f.cgroup == nil {
		f.cgroup = &cgroup{map[string]string{}, map[string]string{}}
	}
	switch {
	case l.shared && v == plan.Unlimited: // the share that everybody has
	case l.shared:
		f.cgroup.shared[l.file] = decimal(v)
	case v == plan.Unlimited && l.text == nil:
		f.cgroup.own[l.file] = "max"
	case v == plan.Unlimited: // as a new one is
	case l.text != nil:
		f.cgroup.own[l.file] = l.text(v)
	default:
		f.cgroup.own[l.file] = decimal(v)
	}
}

// group is the name of the cgroup that sessions with these shares have in common.
func (c *cgroup) group() string {
	name := kernel.CgroupGroup
	for _, file := range slices.Sorted(maps.Keys(c.shared)) {
		name += "-" + file + "-" + c.shared[file]
	}
	return name
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

func newCgroup(limits *cgroup) (c kernel.Cgroup, err error) {
	kernel.SweepCgroups()
	err = unix.EEXIST
	for tries := 0; tries < 64 && errors.Is(err, unix.EEXIST); tries++ {
		name := fmt.Sprintf("%d-%d", os.Getpid(), cgroupNumber.Add(1))
		c, err = kernel.NewCgroup(limits.group(), name, limits.shared, limits.own)
	}
	return c, err
}
