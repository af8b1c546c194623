package profile

import (
	"maps"
	"slices"

	"ninefold/namespaces/plan"
)

// Fill sets in s what the profile alone decides: its name and origin, the
// namespaces, privileges, limits, home, /tmp, devices, lines and writable layer.
// The profile's environment is appended to s.Environment. It reads s.User for
// the variables of the lines. With Keep.Root "user" the caller puts its
// directory in s.Upper.
func (p *Profile) Fill(s *plan.Spec) error {
	lines, err := p.lines.read(plan.Variables(p.Name, s.User))
	if err != nil {
		return err
	}
	i := p.Isolation
	s.Profile = p.Name
	s.ProfileOrigin = p.Origin
	s.Namespaces = plan.Namespaces{
		PID: i.PID, IPC: i.IPC, UTS: i.UTS, Cgroup: i.Cgroup,
		Net: plan.NetMode(i.Net), User: plan.UserMode(i.User), Hostname: i.Hostname,
	}
	if p.Guest() {
		s.Guest, s.Namespaces.User = true, plan.UserMapped
	}
	s.Privileges = plan.Privileges{Capabilities: i.capabilities(), NoNewPrivs: i.NoNewPrivs}
	if i.Seccomp != "none" {
		s.Privileges.Seccomp = i.Seccomp
	}
	s.NoBroker = !i.Broker
	s.Limits = p.limits
	s.Home = p.Home
	s.Tmp = p.Tmp
	s.Devices = p.Devices
	s.Media = p.Project.Media
	s.Lines = lines
	s.Upper = &plan.Upper{Size: p.Keep.size}
	for _, name := range slices.Sorted(maps.Keys(p.Environment)) {
		s.Environment = append(s.Environment, plan.Environment{Name: name, Value: p.Environment[name]})
	}
	return nil
}

// Parks reports whether what a logout throws away is to be parked. A profile
// whose home is thrown away leaves nothing at all.
func (p *Profile) Parks() bool {
	return p.Keep.Park && p.Keep.Root != "user" && (p.Home == "shared" || p.Home == "dotfiles")
}

// defaultCapabilities let package managers, su and daemons that drop root work.
// Left out is whatever reaches past the session: cap_sys_admin undoes mounts,
// cap_dac_read_search opens files by handle, cap_sys_ptrace other sessions,
// cap_mknod has no use on nodev mounts.
var defaultCapabilities = [...]string{
	"cap_chown", "cap_dac_override", "cap_fowner", "cap_fsetid", "cap_kill", "cap_setgid",
	"cap_setuid", "cap_setpcap", "cap_net_bind_service", "cap_net_raw", "cap_sys_chroot",
	"cap_audit_write", "cap_setfcap",
}

// DefaultCapabilities are those that "default" stands for.
func DefaultCapabilities() []string { return slices.Clone(defaultCapabilities[:]) }

// capabilities are the names in the order of their numbers, each once.
func (i Isolation) capabilities() []string {
	all := plan.Capabilities()
	if slices.Contains(i.Capabilities, "all") {
		return all
	}
	byDefault := slices.Contains(i.Capabilities, "default")
	return slices.DeleteFunc(all, func(name string) bool {
		return !slices.Contains(i.Capabilities, name) && !(byDefault && slices.Contains(defaultCapabilities[:], name))
	})
}
