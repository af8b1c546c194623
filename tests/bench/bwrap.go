package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bubblewrap is the contender that overlays by itself: Debian 12's cannot yet,
// so Debian 13's is fetched into the cache and runs with its own libraries.
func (b *bench) bubblewrap(ctx context.Context, j job) (contender, error) {
	argv, err := b.fetchBubblewrap(ctx)
	if err != nil {
		return contender{}, err
	}
	version, err := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], "--version")...).Output()
	if err != nil {
		return contender{}, fmt.Errorf("bwrap --version: %w", err)
	}
	b.table.note("%s of Debian 13 with --tmp-overlay; %s; crun %s; %s; %s.", strings.TrimSpace(string(version)),
		firstLine(ctx, "runc", "--version"), strings.TrimPrefix(firstLine(ctx, "crun", "--version"), "crun version "),
		firstLine(ctx, "systemd-nspawn", "--version"), firstLine(ctx, "firejail", "--version"))
	argv = append(argv,
		"--overlay-src", j.path("base"), "--overlay-src", j.path("runtime"), "--tmp-overlay", "/",
		"--unshare-pid", "--unshare-ipc", "--unshare-uts", "--proc", "/proc", "--dev", "/dev")
	for from, to := range writable {
		argv = append(argv, "--bind", j.path("binds", from), to)
	}
	for from, to := range readOnly {
		argv = append(argv, "--ro-bind", j.path("binds", from), to)
	}
	return process(nameBwrap, append(argv, "/bin/true")...), nil
}

// fetchBubblewrap is the beginning of a command line.
func (b *bench) fetchBubblewrap(ctx context.Context) ([]string, error) {
	root := filepath.Join(b.cache, "bubblewrap")
	bwrap := filepath.Join(root, "usr/bin/bwrap")
	if _, err := os.Stat(bwrap); err != nil {
		if err := fetchTrixie(ctx, root, "bubblewrap", "libc6", "libcap2", "libselinux1", "libpcre2-8-0"); err != nil {
			return nil, fmt.Errorf("fetch bubblewrap of Debian 13: %w", err)
		}
	}
	loaders, _ := filepath.Glob(filepath.Join(root, "usr/lib*/ld-linux-*.so.*"))
	libs, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu"))
	if len(loaders) == 0 || len(libs) == 0 {
		return nil, fmt.Errorf("%s holds no loader or no libraries: remove it and run again", root)
	}
	return []string{loaders[0], "--library-path", libs[0], bwrap}, nil
}

func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return name + " (not here)"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// fetchTrixie downloads packages of Debian 13 with apt in a private root, from
// the mirror that the host itself uses, and unpacks them into dir. The host's
// apt is not touched.
func fetchTrixie(ctx context.Context, dir string, packages ...string) error {
	mirror, err := debianMirror(ctx)
	if err != nil {
		return err
	}
	apt, err := os.MkdirTemp(filepath.Dir(dir), "apt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(apt)
	for _, d := range []string{"etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "state/lists/partial", "cache/archives/partial", "debs", "root"} {
		if err := os.MkdirAll(filepath.Join(apt, d), 0o755); err != nil {
			return err
		}
	}
	config := filepath.Join(apt, "apt.conf")
	files := map[string]string{
		config: fmt.Sprintf("Dir %q; Dir::Etc %q; Dir::State %q; Dir::State::status %q; Dir::Cache %q; APT::Sandbox::User \"root\"; Acquire::Languages \"none\";\n",
			apt+"/", apt+"/etc/", apt+"/state/", apt+"/state/status", apt+"/cache/"),
		filepath.Join(apt, "state/status"):     "",
		filepath.Join(apt, "etc/sources.list"): "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " + mirror + " trixie main\n",
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	run := func(argv ...string) error {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir = filepath.Join(apt, "debs")
		cmd.Env = append(os.Environ(), "APT_CONFIG="+config, "LC_ALL=C")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(argv[:2], " "), err, out)
		}
		return nil
	}
	if err := run("apt-get", "update", "-qq"); err != nil {
		return err
	}
	if err := run(append([]string{"apt-get", "download", "-qq"}, packages...)...); err != nil {
		return err
	}
	debs, _ := filepath.Glob(filepath.Join(apt, "debs", "*.deb"))
	for _, d := range debs {
		if err := run("dpkg-deb", "-x", d, filepath.Join(apt, "root")); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(apt, "root"), dir)
}

// debianMirror is the host's own mirror of Debian's main archive.
func debianMirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(LABEL) $(COMPONENT) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for the mirror: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Debian" && f[1] == "main" {
			return f[2], nil
		}
	}
	return "", fmt.Errorf("apt names no mirror of Debian: run apt-get update once")
}
