package pkg

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// CapabilityAttribute is the extended attribute that holds file capabilities
// (capabilities(7)).
const CapabilityAttribute = "security.capability"

// capabilityNames are in the kernel's order (include/uapi/linux/capability.h):
// the index is the bit.
var capabilityNames = []string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
	"setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
	"sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
	"sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
	"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
	"checkpoint_restore",
}

// CapabilityXattr turns what setcap(8) takes, such as "cap_net_raw+ep" or
// "cap_a,cap_b=ep", into the value of the security.capability attribute:
// struct vfs_cap_data revision 2, little-endian. The grammar is that of
// cap_from_text(3) without "all" beyond the capabilities known here.
//
// A file has one effective flag for all its capabilities, so a text that makes
// only some of them effective is refused, as setcap refuses it.
func CapabilityXattr(text string) ([]byte, error) {
	var effective, permitted, inheritable uint64
	clauses := strings.Fields(text)
	if len(clauses) == 0 {
		return nil, fmt.Errorf("capabilities %q: the text is empty", text)
	}
	for _, clause := range clauses {
		at := strings.IndexAny(clause, "=+-")
		if at < 0 {
			return nil, fmt.Errorf("capabilities %q: %q has none of =, + and -", text, clause)
		}
		mask, err := capabilityMask(clause[:at], clause[at] == '=')
		if err != nil {
			return nil, fmt.Errorf("capabilities %q: %w", text, err)
		}
		for rest := clause[at:]; rest != ""; {
			op := rest[0]
			n := 1 + strings.IndexAny(rest[1:], "=+-")
			if n == 0 {
				n = len(rest)
			}
			flags := rest[1:n]
			rest = rest[n:]
			if strings.Trim(flags, "eip") != "" || flags == "" && op != '=' {
				return nil, fmt.Errorf("capabilities %q: flags %q: want some of e, i and p", text, flags)
			}
			for flag, set := range map[byte]*uint64{'e': &effective, 'p': &permitted, 'i': &inheritable} {
				has := strings.IndexByte(flags, flag) >= 0
				switch {
				case op == '=' && !has, op == '-' && has:
					*set &^= mask
				case op != '-' && has:
					*set |= mask
				}
			}
		}
	}
	if effective != 0 && effective != permitted|inheritable {
		return nil, fmt.Errorf("capabilities %q: a file's capabilities are effective all together or not at all", text)
	}
	const revision2, effectiveFlag = 0x02000000, 1
	head := uint32(revision2)
	if effective != 0 {
		head |= effectiveFlag
	}
	b := binary.LittleEndian.AppendUint32(nil, head)
	for _, half := range []uint{0, 32} {
		b = binary.LittleEndian.AppendUint32(b, uint32(permitted>>half))
		b = binary.LittleEndian.AppendUint32(b, uint32(inheritable>>half))
	}
	return b, nil
}

// capabilityMask reads a comma-separated list; an empty one or "all" is every
// known capability, the empty one only before "=".
func capabilityMask(list string, emptyIsAll bool) (uint64, error) {
	const all = 1<<41 - 1
	if list == "" && emptyIsAll {
		return all, nil
	}
	var mask uint64
	for name := range strings.SplitSeq(strings.ToLower(list), ",") {
		if name == "all" {
			mask |= all
			continue
		}
		bit := slices.Index(capabilityNames, strings.TrimPrefix(name, "cap_"))
		if bit < 0 || !strings.HasPrefix(name, "cap_") {
			return 0, fmt.Errorf("unknown capability %q", name)
		}
		mask |= 1 << bit
	}
	return mask, nil
}

// ApplyCapabilities sets the security.capability attribute on the files that
// Declared.Capabilities names and p holds, on every member of a hard-link
// group, and drops those declarations; the others stay. p must be sorted.
func (p *Package) ApplyCapabilities() error {
	if len(p.Declared.Capabilities) == 0 {
		return nil
	}
	links := map[string][]int{} // by the first path of a group, the others
	for i := range p.Entries {
		if l := p.Entries[i].Link; l != "" {
			links[l] = append(links[l], i)
		}
	}
	var left []Capability
	for _, c := range p.Declared.Capabilities {
		t := p.Entry(strings.TrimPrefix(c.Path, "/"))
		if t == nil {
			left = append(left, c)
			continue
		}
		if t.Kind != File {
			return fmt.Errorf("package %s: capabilities of %s: it is no regular file", p.Name, c.Path)
		}
		value, err := CapabilityXattr(c.Caps)
		if err != nil {
			return fmt.Errorf("package %s: %s: %w", p.Name, c.Path, err)
		}
		first := t.Path
		if t.Link != "" {
			first = t.Link
		}
		p.Entry(first).setXattr(CapabilityAttribute, value)
		for _, i := range links[first] {
			p.Entries[i].setXattr(CapabilityAttribute, value)
		}
	}
	p.Declared.Capabilities = left
	return nil
}

func (t *Entry) setXattr(name string, value []byte) {
	// A new slice: the members of a hard-link group may share one.
	l := slices.DeleteFunc(slices.Clone(t.Xattrs), func(x Xattr) bool { return x.Name == name })
	l = append(l, Xattr{Name: name, Value: value})
	slices.SortFunc(l, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	t.Xattrs = l
}
