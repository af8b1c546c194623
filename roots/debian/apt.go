package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

const maxAptOutput = 64 << 20

// aptRoot is a directory in which apt-get finds everything that it reads or
// writes.
type aptRoot struct{ dir string }

// newAptRoot makes the directories and files of a private root in dir, which
// is empty. status is the text of the dpkg status file; index is the package
// index that apt is to choose from.
func newAptRoot(dir, arch, status, index string) (aptRoot, error) {
	// apt takes what begins with no slash from the machine's own directories.
	dir, err := filepath.Abs(dir)
	if err != nil {
		return aptRoot{}, fmt.Errorf("make apt's root: %w", err)
	}
	r := aptRoot{dir}
	for _, d := range []string{"lists/partial", "cache/archives/partial", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return r, fmt.Errorf("make apt's root: %w", err)
		}
	}
	for name, text := range map[string]string{"status": status, "Packages": index, "apt.conf": r.config(arch)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return r, fmt.Errorf("make apt's root: %w", err)
		}
	}
	return r, nil
}

// config is apt.conf(5). It is read through APT_CONFIG before anything of the
// machine's, and keeps the machine's from being read: hooks, pins, sources and
// keys are all /dev/null.
func (r aptRoot) config(arch string) string {
	var b strings.Builder
	set := func(key, value string) { fmt.Fprintf(&b, "%s %s;\n", key, quote(value)) }
	for _, key := range []string{"Dir::Etc::main", "Dir::Etc::parts", "Dir::Etc::sourcelist", "Dir::Etc::sourceparts", "Dir::Etc::preferences",
		"Dir::Etc::preferencesparts", "Dir::Etc::trusted", "Dir::Etc::trustedparts", "Dir::Etc::netrc", "Dir::Etc::netrcparts"} {
		set(key, "/dev/null")
	}
	set("Dir::State", r.dir)
	set("Dir::State::lists", filepath.Join(r.dir, "lists"))
	set("Dir::State::status", filepath.Join(r.dir, "status"))
	set("Dir::State::extended_states", filepath.Join(r.dir, "extended_states"))
	set("Dir::Cache", filepath.Join(r.dir, "cache"))
	// The cache is worth keeping only for a second question of the same root.
	set("Dir::Cache::pkgcache", "")
	set("Dir::Cache::srcpkgcache", "")
	set("Dir::Log", filepath.Join(r.dir, "log"))
	set("Dir::Bin::dpkg", "/bin/false")
	set("APT::Architecture", arch)
	fmt.Fprintf(&b, "APT::Architectures { %s; };\n", quote(arch))
	set("APT::Get::Remove", "false")
	set("APT::Install-Suggests", "false")
	set("APT::Sandbox::User", "")
	set("pkgCacheGen::ForceEssential", ",")
	set("Debug::NoLocking", "true")
	return b.String()
}

// quote writes an apt.conf string; the values are paths of ours and never hold
// a quotation mark, which the format cannot say.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, "") + `"` }

// choice is a package that apt would install.
type choice struct {
	name, version, arch string
	replaces            string // the installed version, or ""
}

// simulate asks apt-get which packages it would install for the wanted ones.
// It changes nothing and fetches nothing.
func (r aptRoot) simulate(ctx context.Context, wanted []string, recommends bool) ([]choice, error) {
	args := []string{"-s", "-y", "-q", "--allow-unauthenticated",
		"-o", fmt.Sprintf("APT::Install-Recommends=%t", recommends),
		"--with-source", filepath.Join(r.dir, "Packages"), "install", "--"}
	cmd := exec.CommandContext(ctx, "apt-get", append(args, wanted...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "APT_CONFIG=" + filepath.Join(r.dir, "apt.conf"), "TMPDIR=" + r.dir}
	cmd.Dir = r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	stdout, stderr := &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = &bounded{stdout, maxAptOutput}, &bounded{stderr, 64 << 10}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("%w: apt-get is what chooses packages; install apt, or build from a lock made elsewhere", ErrNoApt)
	case errors.As(err, &exit):
		return nil, fmt.Errorf("%w; apt says:\n%s", ErrUnsatisfiable, complaint(stdout.String(), stderr.String()))
	case err != nil:
		return nil, fmt.Errorf("run apt-get: %w", err)
	}
	return parseSimulation(stdout.String())
}

// bounded passes on the first room bytes and fails on more.
type bounded struct {
	w    io.Writer
	room int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.room -= len(p); b.room < 0 {
		return 0, errors.New("too much output")
	}
	return b.w.Write(p)
}

// Lines of apt-get -s: "Inst name [installed] (version archive [arch]) [...]".
var instLine = regexp.MustCompile(`^Inst ([^ ]+) (?:\[([^\]]*)\] )?\(([^ ]+) .*\[([a-z0-9-]+)\]\)`)

func parseSimulation(text string) ([]choice, error) {
	var out []choice
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "Remv "); ok {
			name, _, _ = strings.Cut(name, " ")
			return nil, fmt.Errorf("%w: %s would have to be removed", ErrUnsatisfiable, name)
		}
		if !strings.HasPrefix(line, "Inst ") {
			continue
		}
		m := instLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("run apt-get: cannot understand its answer %q", line)
		}
		name, _, _ := strings.Cut(m[1], ":")
		out = append(out, choice{name: name, replaces: m[2], version: m[3], arch: m[4]})
	}
	return out, nil
}

// complaint picks out of apt's output what says why there is no answer.
func complaint(stdout, stderr string) string {
	var out []string
	keep := false
	for line := range strings.Lines(stdout) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "The following packages have unmet dependencies") {
			keep = true
		}
		if keep && line != "" {
			out = append(out, line)
		}
	}
	for line := range strings.Lines(stderr) {
		if line = strings.TrimRight(line, "\n"); strings.HasPrefix(line, "E: ") {
			out = append(out, line)
		}
	}
	if len(out) == 0 {
		out = append(out, strings.TrimSpace(stderr), strings.TrimSpace(stdout))
	}
	const most = 40
	if len(out) > most {
		out = append(out[:most], "...")
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}
