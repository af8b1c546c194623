package script

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ninefold/tests/needs"
)

// unasked are places at which a start looks without deciding by what it finds
// there, or of which something else than a file's identity is kept.
var unasked = []string{
	"/proc/", "/sys/", "/dev/null", // the runtime's own, and mount points
	"STATE/store/leases/", // held instead
	"STATE/store/objects", // named by digest, or only a place
	"STATE/derived/",      // kept decisions about images, which are named by digest
}

const namespaceFile = `ninefold 1
env FROM_FILE one
`

// TestEveryInputIsAFact traces the system calls by which a session is decided,
// and looks for files that the kept decision does not depend on.
func TestEveryInputIsAFact(t *testing.T) {
	needs.Root(t)
	bin := programs(t)
	dir, run := decisionSite(t, bin)
	state := filepath.Join(dir, "state")
	for _, profile := range []string{"image", "merged", "host"} {
		os.RemoveAll(filepath.Join(state, "derived", "decisions"))
		trace := filepath.Join(dir, "trace")
		cmd := run("ninefold-ctl", profile, "true")
		cmd.Args = append([]string{"strace", "-f", "-y", "-s", "4096", "-o", trace, "-e", "trace=file,unshare"}, cmd.Args...)
		cmd.Path, _ = exec.LookPath("strace")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", profile, err, out)
		}
		records, _ := filepath.Glob(filepath.Join(state, "derived", "decisions", "*.record"))
		if len(records) != 1 {
			t.Fatalf("%s: kept %d decisions, want 1", profile, len(records))
		}
		record, err := os.ReadFile(records[0])
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		looked := lookedAt(string(text))
		if len(looked) < 20 {
			t.Fatalf("%s: the trace names %d files: it is not understood", profile, len(looked))
		}
		table, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		for name := range looked {
			if strings.Contains(string(table), " "+name+" ") {
				continue // a mount point is what it is as long as the mount table, a fact, is the same
			}
			if at := strings.Replace(name, state, "STATE", 1); !excused(at) && !isFact(record, name) {
				t.Errorf("profile %s is decided by %s, and the kept decision does not depend on it: name it in sessiond/manager/inputs.go", profile, name)
			}
		}
	}
}

func excused(name string) bool {
	for _, p := range unasked {
		if strings.HasPrefix(name+"/", p) || strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// isFact reports whether name, or the file that it leads to, is in the record:
// texts are there with their length.
func isFact(record []byte, name string) bool {
	has := func(name string) bool { return bytes.Contains(record, fmt.Appendf(nil, "%d:%s,", len(name), name)) }
	if has(name) {
		return true
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err == nil && has(filepath.Join(dir, filepath.Base(name))) {
		return true
	}
	// Nothing can be there where a directory above is not.
	for up := filepath.Dir(name); up != "/"; up = filepath.Dir(up) {
		if _, err := os.Lstat(up); err != nil && has(up) {
			return true
		}
	}
	return false
}

var call = regexp.MustCompile(`^\d+ +(\w+)\((?:AT_FDCWD<([^>]*)>|\d+<([^>]*)>)?(?:, )?"((?:[^"\\]|\\.)*)"`)

// lookedAt returns the absolute names of the files in a trace, up to where the
// session's own namespaces begin.
func lookedAt(trace string) map[string]bool {
	looked := map[string]bool{}
	for line := range strings.Lines(trace) {
		if strings.Contains(line, "unshare(") {
			break
		}
		m := call.FindStringSubmatch(line)
		if m == nil || m[1] == "execve" || strings.Contains(line, "O_CREAT") || strings.Contains(line, "O_EXCL") {
			continue
		}
		switch m[1] {
		case "mkdirat", "mkdir", "renameat", "renameat2", "rename", "unlinkat", "unlink", "linkat", "symlinkat", "getcwd":
			continue // what is made, not what is looked at
		}
		name := m[4]
		if !strings.HasPrefix(name, "/") {
			name = filepath.Join(m[2]+m[3], name)
		}
		if strings.HasPrefix(name, "/") && m[4] != "" && m[4] != "." {
			looked[filepath.Clean(name)] = true
		}
	}
	return looked
}

// TestAKeptDecisionIsUsedWhileItHolds: the second start decides nothing, and a
// change of anything is seen at once.
func TestAKeptDecisionIsUsedWhileItHolds(t *testing.T) {
	needs.Root(t)
	bin := programs(t)
	dir, run := decisionSite(t, bin)
	decides := func() (bool, string) {
		t.Helper()
		trace := filepath.Join(dir, "trace")
		cmd := run("sessionctl", "image", "env")
		cmd.Args = append([]string{"strace", "-f", "-o", trace, "-e", "trace=execve"}, cmd.Args...)
		cmd.Path, _ = exec.LookPath("strace")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "/ninefold-ctl\""), string(out)
	}
	change := func(name string, f func(string) string) {
		t.Helper()
		b, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name, []byte(f(string(b))), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	settle := func() { time.Sleep(2100 * time.Millisecond) }
	if first, _ := decides(); !first {
		t.Fatal("the first start decided nothing")
	}
	if again, out := decides(); again || !strings.Contains(out, "FROM_FILE=one") {
		t.Fatalf("the second start decided again: %v\n%s", again, out)
	}
	change(filepath.Join(dir, "config/profiles/lines.ns"), func(s string) string { return strings.Replace(s, "one", "two", 1) })
	if again, out := decides(); !again || !strings.Contains(out, "FROM_FILE=two") {
		t.Errorf("a change of the namespace file is not seen:\n%s", out)
	}
	// Just changed: whether it is finished cannot be told yet.
	change(filepath.Join(dir, "config/profiles/lines.ns"), func(s string) string { return strings.Replace(s, "two", "six", 1) })
	if _, out := decides(); !strings.Contains(out, "FROM_FILE=six") {
		t.Errorf("a second change at once is not seen:\n%s", out)
	}
	settle()
	decides()
	if again, _ := decides(); again {
		t.Error("the start after that decided again")
	}
	change(filepath.Join(dir, "tree/etc/os-release"), func(string) string { return "ID=changed\n" })
	if out, err := exec.Command(filepath.Join(bin, "sessionctl"), "--config", dir+"/config", "--state", dir+"/state", "image", "build", "base").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if again, _ := decides(); !again {
		t.Error("another image of the same name is not seen")
	}
	if err := os.Remove(filepath.Join(dir, "config/profiles/image.toml")); err != nil {
		t.Fatal(err)
	}
	if out, err := run("sessionctl", "image", "true").CombinedOutput(); err == nil || !strings.Contains(string(out), "no such profile") {
		t.Errorf("the profile is gone: %v\n%s", err, out)
	}
}

// decisionSite makes a configuration with profiles on an image and on the host,
// and a store, where root alone can change them, and lets them grow old enough.
// run prepares the command line of a session.
func decisionSite(t *testing.T, bin string) (dir string, run func(program, profile string, command ...string) *exec.Cmd) {
	t.Helper()
	// Not below /tmp, which all can write.
	dir, err := os.MkdirTemp("/var/lib", "ninefold-decisions-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.CopyFS(filepath.Join(dir, "bin"), os.DirFS(bin)); err != nil {
		t.Fatal(err)
	}
	base := "version = 1\nbase = \"base\"\nnamespace_file = \"lines.ns\"\n"
	for name, text := range map[string]string{
		"tree/etc/os-release": "ID=test\n", "tree/usr/share/x": "", "tree/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "tree/etc/group": "root:x:0:\n",
		"more/usr/share/more": "", "config/profiles/lines.ns": namespaceFile,
		"config/recipes/base.toml":    fmt.Sprintf("version = 1\nname = \"base\"\n[source]\ndirectory = %q\n[finish]\nsteps = []\n", dir+"/tree"),
		"config/recipes/more.toml":    fmt.Sprintf("version = 1\nname = \"more\"\nfrom = \"base\"\n[source]\ndirectory = %q\n[finish]\nsteps = []\n", dir+"/more"),
		"config/profiles/image.toml":  base + "[isolation]\npid = true\n",
		"config/profiles/merged.toml": base + "runtime = \"more\"\n[project]\nfonts = true\n",
		"config/ninefold.toml":        "[trust]\nca = \"host\"\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"/usr/bin/env", "/usr/bin/true"} {
		withLibraries(t, program, filepath.Join(dir, "tree"))
	}
	global := []string{"--config", dir + "/config", "--state", dir + "/state"}
	build := exec.Command(filepath.Join(dir, "bin/sessionctl"), append(global, "image", "build", "more")...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	time.Sleep(2100 * time.Millisecond)
	return dir, func(program, profile string, command ...string) *exec.Cmd {
		args := append(append(global[:len(global):len(global)], "run", profile, "--"), command...)
		cmd := exec.Command(filepath.Join(dir, "bin", program), args...)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "TERM=dumb"}
		return cmd
	}
}

// withLibraries copies a program of the host and its libraries below root.
func withLibraries(t *testing.T, program, root string) {
	t.Helper()
	// ldd runs it, which is safe for a program of the host itself.
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Fatalf("libraries of %s: %v", program, err)
	}
	for _, f := range append(strings.Fields(string(out)), program) {
		if !strings.HasPrefix(f, "/") {
			continue
		}
		b, err := os.ReadFile(f)
		if err == nil {
			err = os.MkdirAll(filepath.Join(root, filepath.Dir(f)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(root, f), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
