package guests

import (
	"slices"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/plan"
)

// bounds are those of a guest where its profile says nothing.
func bounds() []plan.Limit {
	b := []plan.Limit{{Name: "tasks", Value: plan.GuestTasks}, {Name: "swap", Value: 0}, {Name: "cpu_weight", Value: share}, {Name: "io_weight", Value: share}}
	var memory unix.Sysinfo_t
	if err := unix.Sysinfo(&memory); err == nil {
		b = append(b, plan.Limit{Name: "memory", Value: memory.Totalram * uint64(memory.Unit) / 2})
	}
	return b
}

// Curb takes from the spec of a guest's session what somebody else than root wrote
// of its bounds, where that is more than every guest has.
func Curb(s *plan.Spec) {
	most := append(bounds(), plan.Limit{Name: "nproc", Value: plan.GuestTasks}, plan.Limit{Name: "core", Value: 0})
	s.Limits = slices.DeleteFunc(slices.Clone(s.Limits), func(l plan.Limit) bool {
		return slices.ContainsFunc(most, func(m plan.Limit) bool { return m.Name == l.Name && l.Value > m.Value })
	})
	if s.Upper != nil && s.Upper.Size > plan.GuestSize {
		up := *s.Upper
		up.Size = plan.GuestSize
		s.Upper = &up
	}
}
