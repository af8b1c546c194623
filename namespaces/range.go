package namespaces

import (
	"strconv"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// makeRange makes the user namespace by which layers get the ids of the
// session's range. The first process gets one of its own with the same map:
// this one is there before any process of the session.
func (b *builder) makeRange() (err error) {
	if b.first.namespaces.User != plan.UserRange {
		return nil
	}
	if b.idmap, err = kernel.UserNamespace(b.hostInit(), b.first.namespaces.First); err == nil {
		b.hold(b.idmap)
	}
	return err
}

// asRoot runs f as the one who is root in the session: on the host that is
// somebody else where the session has a range of ids.
func (b *builder) asRoot(f func() error) error {
	if b.idmap == kernel.None {
		return f()
	}
	return kernel.AsRootOf(b.first.namespaces.First, f)
}

// hostIDs puts the ids of the host into the options of a mount.
func (b *builder) hostIDs(words []string) []string {
	if b.idmap == kernel.None {
		return words
	}
	out := make([]string, len(words))
	for i, w := range words {
		name, value, _ := cut(w)
		if id, err := strconv.ParseUint(value, 10, 32); err == nil && (name == "uid" || name == "gid") {
			w = name + "=" + strconv.FormatUint(uint64(b.first.namespaces.OnHost(uint32(id))), 10)
		}
		out[i] = w
	}
	return out
}
