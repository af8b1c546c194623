package pkg

import (
	"encoding/hex"
	"testing"
)

// The values are what setcap(8) of libcap 2.66 leaves on a file.
func TestCapabilityXattr(t *testing.T) {
	for text, want := range map[string]string{
		"cap_net_raw+ep":                            "0100000200200000000000000000000000000000",
		"cap_net_raw=ep":                            "0100000200200000000000000000000000000000",
		"cap_net_bind_service,cap_net_admin+ep":     "0100000200140000000000000000000000000000",
		"cap_dac_override,cap_bpf,cap_net_admin=ep": "0100000202100000000000008000000000000000",
		"cap_sys_nice+p":                            "0000000200008000000000000000000000000000",
		"cap_setuid+i cap_setgid+i":                 "0000000200000000c00000000000000000000000",
	} {
		b, err := CapabilityXattr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "cap_net_raw", "cap_nothing+ep", "cap_net_raw+x", "net_raw+ep", "cap_net_raw+ep cap_setuid+p", "cap_net_raw+"} {
		if b, err := CapabilityXattr(text); err == nil {
			t.Errorf("%q: accepted as %x", text, b)
		}
	}
}

func TestApplyCapabilitiesReachesTheWholeLinkGroup(t *testing.T) {
	ping := file("usr/bin/ping", "elf")
	p := &Package{Name: "iputils-ping", Entries: []Entry{ping, link(ping, "usr/bin/ping4")}}
	p.Declared.Capabilities = []Capability{{"/usr/bin/elsewhere", "cap_net_raw+ep"}, {"/usr/bin/ping4", "cap_net_raw+ep"}}
	if err := p.ApplyCapabilities(); err != nil {
		t.Fatal(err)
	}
	for _, e := range p.Entries {
		if len(e.Xattrs) != 1 || e.Xattrs[0].Name != CapabilityAttribute {
			t.Errorf("%s has %v", e.Path, e.Xattrs)
		}
	}
	if n := len(p.Declared.Capabilities); n != 1 {
		t.Errorf("%d declarations are left, want the one for a file elsewhere", n)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
}
