package identity

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestTaken: an id is free only when no source of accounts has it, and a process
// asks the name services only where there are some that cannot be read here.
func TestTaken(t *testing.T) {
	for what, c := range map[string]struct {
		file, text string
		asks, want bool
	}{
		"nobody":                {"etc/nsswitch.conf", "passwd: files systemd\ngroup: files [SUCCESS=merge] systemd # x\nhosts: dns\n", false, false},
		"a user":                {"etc/passwd", "x:x:61200:1::/:/bin/sh\n", false, true},
		"a user's group":        {"etc/passwd", "x:x:1:61200::/:/bin/sh\n", false, true},
		"a group":               {"etc/group", "x:x:61200:\n", false, true},
		"a record":              {"run/userdb/61200.user", "{}", false, true},
		"a group's record":      {"etc/userdb/61200.group", "{}", false, true},
		"a network's accounts":  {"etc/nsswitch.conf", "passwd: files sss\n", true, true},
		"a network's groups":    {"etc/nsswitch.conf", "passwd: files\ngroup: files ldap\n", true, true},
		"accounts of NIS":       {"etc/nsswitch.conf", "passwd: compat\n", true, true},
		"a service of userdb's": {"run/systemd/userdb/org.example.People", "", true, true},
		"systemd's services":    {"run/systemd/userdb/io.systemd.DynamicUser", "", false, false},
	} {
		t.Run(what, func(t *testing.T) {
			root := t.TempDir()
			asked := filepath.Join(root, "asked")
			for name, text := range map[string]string{
				"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/nsswitch.conf": "passwd: files\n",
				"getent": "#!/bin/sh\ntouch " + asked + "\necho x:x:61200:61200::/:/bin/sh\n", c.file: c.text,
			} {
				name = filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			h := Host{Etc: filepath.Join(root, "etc"), Getent: filepath.Join(root, "getent")}
			got, err := h.Taken(context.Background(), 61200)
			if err != nil || got != c.want {
				t.Errorf("%v, %v", got, err)
			}
			if _, err := os.Stat(asked); (err == nil) != c.asks {
				t.Errorf("the name services were asked: %v, want %v", err == nil, c.asks)
			}
		})
	}
}

func TestAnUnknownSwitchIsAsked(t *testing.T) {
	if (Host{Etc: t.TempDir()}).plain(t.TempDir()) {
		t.Error("without nsswitch.conf nothing is known of where accounts come from")
	}
}
