package namespaces

import (
	"slices"
	"strings"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// ownDirs are directories in which the steps of every plan make things. None of
// them leads into a directory that stays empty: those are covered by what is
// mounted there.
var ownDirs = []string{"/etc", "/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/home"}

// staysEmpty reports whether step i mounts a tmpfs that nothing is made in and that
// becomes read-only. Since a link may lead there from elsewhere, that is known only
// where all later steps keep to ownDirs.
func (b *builder) staysEmpty(i int, op plan.Mount) bool {
	if op.Type != "tmpfs" || op.Flags.ReadOnly {
		return false
	}
	closed := false
	for _, later := range b.plan.Ops[i+1:] {
		if r, ok := later.(plan.ReadOnly); ok {
			closed = closed || r.Target == op.Target
			continue
		}
		at, made := madeAt(later)
		if !made {
			continue
		}
		if inside(at, op.Target) {
			return false
		}
		m, ok := later.(plan.Mount)
		alike := ok && m.Type == op.Type && m.Flags == op.Flags && slices.Equal(m.Options, op.Options)
		if !alike && !slices.ContainsFunc(ownDirs, func(dir string) bool { return inside(at, dir) }) {
			return false
		}
	}
	return closed
}

// madeAt is where a step makes something.
func madeAt(op plan.Op) (string, bool) {
	switch o := op.(type) {
	case plan.Overlay:
		return o.Target, true
	case plan.Mount:
		return o.Target, true
	case plan.Bind:
		return o.Target, true
	case plan.Disk:
		return o.Target, true
	case plan.Unmount:
		return o.Target, true
	case plan.Mkdir:
		return o.Path, true
	case plan.Link:
		return o.Path, true
	case plan.File:
		return o.Path, true
	}
	return "", false
}

func inside(at, dir string) bool { return at == dir || strings.HasPrefix(at, dir+"/") }

// mountEmpty mounts one that stays empty: the first of its kind, which the others
// are copies of. A session has a dozen, and each file system takes time to make,
// and to take down.
func (b *builder) mountEmpty(op plan.Mount) error {
	kind := strings.Join(op.Options, ",") + attrs(op.Flags).String()
	mnt, known := b.empty[kind]
	var err error
	if known {
		mnt, err = kernel.OpenTree(mnt, false)
	} else {
		mnt, err = kernel.NewMount(op.Type, attrs(op.Flags), options(b.hostIDs(op.Options))...)
	}
	if err != nil {
		return err
	}
	b.hold(mnt)
	if !known {
		if b.empty == nil {
			b.empty = map[string]kernel.FD{}
		}
		b.empty[kind] = mnt
	}
	return b.attachDir(mnt, op.Target)
}
