// Package detect finds out what a machine has of what images require: with the kernel
// that runs, or with another one that is installed.
package detect

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/roots/requires"
)

// Running is the release of the kernel that runs.
func Running() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Installed lists the kernels whose modules are below root, sorted by name.
func Installed(root string) []string {
	list, err := os.ReadDir(filepath.Join(root, "lib/modules"))
	if err != nil {
		return nil
	}
	var versions []string
	for _, e := range list {
		if _, err := os.Stat(filepath.Join(root, "lib/modules", e.Name(), "modules.dep")); err == nil {
			versions = append(versions, e.Name())
		}
	}
	return versions
}

// Machine describes the machine whose root is root ("/") with a kernel. Files are
// read when they are asked for, each once; a value may be used by one goroutine at a time.
func Machine(ctx context.Context, root, kernel string) requires.Machine {
	d := &detector{ctx: ctx, root: root, kernel: kernel, running: kernel == Running()}
	m := requires.Machine{Kernel: kernel, Systemd: systemdVersion(root), CPU: level(filepath.Join(root, "proc/cpuinfo")),
		Config: d.option, Module: d.module, Filesystem: d.filesystem, Driver: d.driver}
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if f, err := os.Open(filepath.Join(root, name)); err == nil {
			m.OS, m.OSVersion = osRelease(f)
			f.Close()
			break
		}
	}
	return m
}

type detector struct {
	ctx          context.Context
	root, kernel string
	running      bool
	modulesOnce  sync.Once
	modules      map[string]bool
	configOnce   sync.Once
	config       map[string]string
}

// normal is a module's name as the kernel writes it.
func normal(name string) string { return strings.ReplaceAll(name, "-", "_") }

// module looks into what depmod(8) wrote, and, of the running kernel, at what it
// has loaded, from wherever.
func (d *detector) module(name string) bool {
	d.modulesOnce.Do(func() {
		d.modules = map[string]bool{}
		for _, index := range []string{"modules.dep", "modules.builtin"} {
			d.lines(filepath.Join("lib/modules", d.kernel, index), func(line string) {
				file, _, _ := strings.Cut(line, ":")
				base, _, _ := strings.Cut(filepath.Base(file), ".ko")
				d.modules[normal(base)] = true
			})
		}
	})
	if d.modules[normal(name)] {
		return true
	}
	_, err := os.Stat(filepath.Join(d.root, "sys/module", normal(name)))
	return d.running && err == nil
}

func (d *detector) filesystem(name string) bool {
	found := false
	if d.running {
		d.lines("proc/filesystems", func(line string) {
			f := strings.Fields(line)
			found = found || len(f) > 0 && f[len(f)-1] == name
		})
	}
	return found || d.module(name)
}

// option reads the kernel's configuration where distributions leave it. Of the
// running kernel it is /proc/config.gz where there is one.
func (d *detector) option(name string) (string, bool) {
	d.configOnce.Do(func() {
		for _, file := range []string{"boot/config-" + d.kernel, "lib/modules/" + d.kernel + "/config"} {
			if d.lines(file, d.setting) {
				return
			}
		}
		if f, err := os.Open(filepath.Join(d.root, "proc/config.gz")); err == nil && d.running {
			defer f.Close()
			if z, err := gzip.NewReader(f); err == nil {
				scan(z, d.setting)
			}
		}
	})
	return d.config[name], d.config != nil
}

func (d *detector) setting(line string) {
	if d.config == nil {
		d.config = map[string]string{}
	}
	if name, value, ok := strings.Cut(strings.TrimPrefix(line, "CONFIG_"), "="); ok && strings.HasPrefix(line, "CONFIG_") {
		d.config[name] = strings.Trim(value, `"`)
	}
}

// driver asks the loaded module, or modinfo(8) about its file.
func (d *detector) driver(name string) string {
	if d.running {
		if b, err := os.ReadFile(filepath.Join(d.root, "sys/module", normal(name), "version")); err == nil {
			return strings.TrimSpace(string(b))
		}
	}
	if !d.module(name) {
		return ""
	}
	ctx, cancel := context.WithTimeout(d.ctx, 2*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "/sbin/modinfo", "--basedir", d.root, "--set-version", d.kernel, "--field", "version", name)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	out, err := c.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// lines reports whether the file could be read.
func (d *detector) lines(name string, f func(line string)) bool {
	file, err := os.Open(filepath.Join(d.root, name))
	if err != nil {
		return false
	}
	defer file.Close()
	scan(file, f)
	return true
}

// maxFile bounds what is read of one file.
const maxFile = 16 << 20

func scan(r io.Reader, f func(line string)) {
	s := bufio.NewScanner(io.LimitReader(r, maxFile))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		f(s.Text())
	}
}

// systemdVersion goes by the name of systemd's own library, which has it, and
// which no program has to be started for.
func systemdVersion(root string) string {
	for _, pattern := range []string{"lib/systemd/libsystemd-shared-*.so", "usr/lib/systemd/libsystemd-shared-*.so", "usr/lib/*/systemd/libsystemd-shared-*.so", "usr/lib64/systemd/libsystemd-shared-*.so"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		if len(found) > 0 {
			slices.Sort(found)
			base := filepath.Base(found[len(found)-1])
			return strings.TrimSuffix(strings.TrimPrefix(base, "libsystemd-shared-"), ".so")
		}
	}
	return ""
}

// osRelease reads ID and VERSION_ID of os-release(5).
func osRelease(r io.Reader) (id, version string) {
	scan(r, func(line string) {
		key, value, _ := strings.Cut(line, "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			id = value
		case "VERSION_ID":
			version = value
		}
	})
	return id, version
}
