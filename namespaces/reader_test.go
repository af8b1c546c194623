package namespaces_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

// secrets makes a directory with what a user of uid 1000 in group 27 may read and
// what not, as the layers of a session have it.
func secrets(t *testing.T) (dir, low string) {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "reader-") // no overlay lies on a tmpfs's mapped ids everywhere
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	low = filepath.Join(dir, "low")
	for _, f := range []struct {
		name     string
		mode     os.FileMode
		uid, gid int
	}{
		{"open", 0o644, 0, 0}, {"roots", 0o600, 0, 0}, {"groups", 0o640, 0, 27}, {"others", 0o640, 0, 42}, {"theirs", 0o600, 1001, 1001}, {"own", 0o600, 1000, 1000},
		{"closed/in", 0o644, 0, 0}, {"home/in", 0o644, 1000, 1000},
	} {
		name := filepath.Join(low, f.name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("text of "+f.name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, f.uid, f.gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, f.mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, uid := range map[string]int{"closed": 0, "home": 1000} {
		if err := os.Chown(filepath.Join(low, name), uid, uid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(low, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir, low
}

// What a layer's reader may not read, root of the session may not either, by any way:
// not by reading, not by copying up, and not after it became unreadable meanwhile.
func TestRootReadsWhatTheReaderMay(t *testing.T) {
	needs.Root(t)
	dir, low := secrets(t)
	at := "/srv"
	p := rangePlan(t, dir)
	for _, d := range []string{"@srv/upper", "@srv/work"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	union := plan.Overlay{Target: at, Flags: plan.Flags{NoDev: true}, Upper: &plan.Upper{Dir: dir, Name: "@srv"},
		Lowers: []plan.Layer{{Kind: plan.LayerDir, Source: low, Reader: &plan.Reader{UID: 1000, GID: 1000, Groups: []uint32{27}}}}}
	p.Ops = append(p.Ops[:2:2], append([]plan.Op{union}, p.Ops[2:]...)...)
	out, _ := output(t, p, "sh", "-c", `cd /srv; exec 2>/dev/null
for f in open roots groups others theirs own closed/in home/in; do cat $f || echo "no $f"; done
stat -c '%u %a %n' roots theirs own
cp roots /tmp/x; ln roots hard && cat hard; mv roots moved && cat moved; chown 0 roots; chmod 644 roots; cat roots; chmod 644 theirs; cat theirs
(echo >>others) && cat others; dd if=roots of=/dev/stdout; mv closed opened; ls closed opened; chmod 755 closed && ls closed
(cd closed && ls; cat in)
echo more >>open; echo mine >own; cat open own; rm -f roots; echo new >roots && cat roots
setfattr -n user.x -v y theirs; getfattr -d -m - roots closed`)
	for _, secret := range []string{"roots", "others", "theirs", "closed/in"} {
		if strings.Contains(out, "text of "+secret) || !strings.Contains(out, "no "+secret+"\n") {
			t.Errorf("%s is read by root of the session:\n%s", secret, out)
		}
	}
	for _, want := range []string{"text of open\nmore\nmine\nnew\n", "text of groups\n", "text of own\n", "text of home/in\n", "0 600 roots\n1001 600 theirs\n1000 600 own\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	for name, want := range map[string]string{"open": "text of open\n", "own": "text of own\n", "roots": "text of roots\n"} {
		if b, err := os.ReadFile(filepath.Join(low, name)); err != nil || string(b) != want {
			t.Errorf("%s of the machine is %q, %v", name, b, err)
		}
	}
}
