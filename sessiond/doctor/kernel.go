package doctor

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// kernelFindings tries what it can: a detached mount is seen by nobody and is
// gone with its descriptor.
func kernelFindings(root bool) []Finding {
	var u unix.Utsname
	_ = unix.Uname(&u) // fails for a bad address alone
	major, minor := kernel.Release()
	release := Finding{Area: "kernel", Name: "release", State: OK, Detail: unix.ByteSliceToString(u.Release[:])}
	if major < 5 || major == 5 && minor < 12 {
		release.State, release.Then = Missing, "Linux 5.12 or newer is needed (mount_setattr)"
	}
	out := []Finding{release}
	out = append(out, overlay(root)...)
	out = append(out,
		namespace("pid", "pid namespaces"), namespace("ipc", "ipc namespaces"), namespace("uts", "uts namespaces"),
		namespace("net", "network namespaces"), userNamespaces(), seccomp(), procOfNamespace(root), cgroups())
	return out
}

func overlay(root bool) []Finding {
	fs := Finding{Area: "kernel", Name: "overlay", State: OK}
	if !root {
		fs.State = Unknown
		if fileSystem("overlay") {
			fs.State = OK
		}
		return []Finding{fs}
	}
	if !fileSystem("overlay") {
		fs.State, fs.Then = Missing, "load the module (modprobe overlay) or use a kernel with CONFIG_OVERLAY_FS"
		return []Finding{fs}
	}
	have := kernel.Overlay()
	list := Finding{Area: "kernel", Name: "overlay layers one by one", State: OK, Detail: "lowerdir+"}
	if !have.LayerList {
		list.State, list.Then = Fallback, "layers are given in one option; fewer fit (Linux 6.8 has it)"
	}
	data := Finding{Area: "kernel", Name: "overlay data-only layers", State: OK}
	if !have.DataOnly {
		data.State, data.Then = Fallback, "images are mounted by the loop driver (Linux 6.5 has it)"
	}
	return []Finding{fs, list, data}
}

// fileSystem reports whether the kernel knows a file system type, as a module
// that is not loaded yet too.
func fileSystem(name string) bool {
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == name {
			return true
		}
	}
	// Opening a context asks the kernel to load the module.
	mnt, err := kernel.NewMount(name, 0)
	if err == nil {
		mnt.Close()
		return true
	}
	return !errors.Is(err, unix.ENODEV)
}

func namespace(file, name string) Finding {
	f := Finding{Area: "kernel", Name: name, State: OK}
	if _, err := os.Stat("/proc/self/ns/" + file); err != nil {
		f.State, f.Then = Missing, "the kernel was built without them"
	}
	return f
}

func userNamespaces() Finding {
	f := namespace("user", "user namespaces")
	f.For = "sessions that a user had a hand in"
	if f.State != OK {
		return f
	}
	b, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if err == nil && strings.TrimSpace(string(b)) == "0" {
		f.State, f.Detail, f.Then = Missing, "user.max_user_namespaces = 0", "raise it with sysctl; sessions of class untrusted cannot be made"
	}
	return f
}

func seccomp() Finding {
	f := Finding{Area: "kernel", Name: "seccomp filters", State: OK, For: "profiles with a seccomp filter"}
	b, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil || !strings.Contains(string(b), "errno") {
		f.State, f.Then = Missing, "the kernel was built without CONFIG_SECCOMP_FILTER"
	}
	return f
}

// procOfNamespace tries proc's pidns option.
func procOfNamespace(root bool) Finding {
	f := Finding{Area: "kernel", Name: "proc of another pid namespace", State: Unknown}
	if !root {
		return f
	}
	self, err := os.Open("/proc/self/ns/pid")
	if err != nil {
		f.State, f.Then = Fallback, err.Error()
		return f
	}
	defer self.Close()
	mnt, err := kernel.NewMount("proc", 0, kernel.File("pidns", kernel.FD(self.Fd())))
	if err != nil {
		f.State, f.Then = Fallback, "the session's first process mounts its own /proc (Linux 6.17 has the pidns option)"
		return f
	}
	mnt.Close()
	f.State, f.Detail = OK, "pidns option"
	return f
}

func cgroups() Finding {
	f := Finding{Area: "kernel", Name: "cgroup v2", State: OK, For: "limits of whole sessions"}
	for _, at := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		b, err := os.ReadFile(at + "/cgroup.controllers")
		if err != nil {
			continue
		}
		f.Detail = fmt.Sprintf("%s: %s", at, strings.TrimSpace(string(b)))
		have := strings.Fields(string(b))
		var lacking []string
		for _, name := range []string{"memory", "pids", "cpu", "io"} {
			if !slices.Contains(have, name) {
				lacking = append(lacking, name)
			}
		}
		if len(lacking) > 0 {
			f.State, f.Then = Missing, fmt.Sprintf("controllers that are not there: %s; such limits are refused, and guests go without", strings.Join(lacking, ", "))
		}
		return f
	}
	f.State, f.Then = Missing, "mount it on /sys/fs/cgroup (systemd does); such limits are refused"
	return f
}
