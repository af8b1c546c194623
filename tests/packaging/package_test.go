package packaging

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestSameBytes(t *testing.T) {
	need(t)
	a, err := os.ReadFile(theDeb(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(build(t, "deb"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("two packages of the same programs differ")
	}
}

// TestLintian has no tag overridden but those that packaging/lintian-overrides
// gives a reason for.
func TestLintian(t *testing.T) {
	need(t, "lintian")
	out, err := exec.CommandContext(t.Context(), "lintian", "--fail-on", "error,warning", theDeb(t)).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// TestRPM installs the package below a directory. Its scripts need the system
// that it is for; that a shell can read them is seen here.
func TestRPM(t *testing.T) {
	need(t, "rpm")
	pkg, root := build(t, "rpm"), t.TempDir()
	rpm := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "rpm", append([]string{"--root", root}, args...)...).Output()
		if err != nil {
			t.Fatalf("rpm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	rpm("--initdb")
	rpm("--install", "--nodeps", "--noscripts", pkg)
	if out := rpm("--verify", "--nodeps", "ninefold"); out != "" {
		t.Errorf("files are not as in the package:\n%s", out)
	}
	for name, mode := range map[string]os.FileMode{
		"usr/bin/sessionctl": 0o755, "usr/lib/ninefold/sessiond": 0o755, "usr/lib64/security/pam_ninefold.so": 0o755,
		"usr/lib/systemd/system/user@.service.d/10-ninefold.conf": 0o644, "usr/share/zsh/site-functions/_sessionctl": 0o644,
	} {
		if st, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		} else if st.Mode() != mode {
			t.Errorf("%s is %v, want %v", name, st.Mode(), mode)
		}
	}
	for _, not := range []string{"usr/share/pam-configs", "usr/share/lintian", "usr/share/zsh/vendor-completions", "usr/lib/x86_64-linux-gnu"} {
		if _, err := os.Stat(filepath.Join(root, not)); err == nil {
			t.Errorf("the .rpm has Debian's %s", not)
		}
	}
	if c := rpm("--query", "--configfiles", "ninefold"); c != "/etc/ninefold/host.policy\n/etc/ninefold/ninefold.toml\n" {
		t.Errorf("its configuration files are %q", c)
	}
	for _, tag := range []string{"POSTIN", "PREUN", "POSTUN"} {
		script := rpm("--query", "--qf", "%{"+tag+"}", "ninefold")
		c := exec.CommandContext(t.Context(), "sh", "-n")
		c.Stdin = strings.NewReader(script)
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(script, "systemctl") {
			t.Errorf("the script %s: %v\n%s", tag, err, out)
		}
	}
}

// TestBusAndPolkitFilesParse: a file that does not parse is left out by
// dbus-daemon and polkitd, with a line in a log that nobody reads.
func TestBusAndPolkitFilesParse(t *testing.T) {
	for _, name := range []string{"org.ninefold.conf", "org.ninefold.policy"} {
		f, err := os.Open(filepath.Join(top, "systemd-units", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		d := xml.NewDecoder(f)
		elements := 0
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, ok := tok.(xml.StartElement); ok {
				elements++
			}
		}
		if elements < 3 {
			t.Errorf("%s has %d elements", name, elements)
		}
	}
}
