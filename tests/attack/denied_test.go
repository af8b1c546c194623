package attack

import (
	"slices"
)

// attackOnGuest is one thing that somebody in a guest's session tries.
type attackOnGuest struct {
	name string
	// by are the rules that deny it: each of them alone.
	by []string
	// do tries it from inside; nil is for the try of ninefold-probe that has the name.
	do func(all []victim) error
	// rare is what not every machine has, so that it cannot be shown everywhere that it would
	// get through: what a kernel is built without, or a container does not let be tried.
	rare bool
}

// rare are the names of those.
var rare = []string{"read /proc/kcore", "open /proc/sys/kernel/modprobe to write, in a new procfs if need be",
	"open /proc/sysrq-trigger to write, in a new procfs if need be", "set a release_agent on a cgroup hierarchy", "use the machine's I/O ports",
	"trace the first process", "read the first process's memory", "load a module", "load a kernel", "a socket of the crypto interface",
	"set the limits of a process of the machine", "set the limits of a process of another guest", "be the last that is killed for want of memory",
	"lock memory without bound", "let there be user namespaces, by /proc/sys/user/max_user_namespaces"}

// denied is the list of what is tried against a guest's session, and of what denies it.
func denied() []attackOnGuest {
	var list []attackOnGuest
	add := func(do func(all []victim) error, name string, by ...string) {
		list = append(list, attackOnGuest{name, by, do, slices.Contains(rare, name)})
	}
	probed := func(name string, by ...string) { add(nil, name, by...) }
	const pid, ipc, network, user, caps, filter, root, run = "PID namespace", "IPC namespace", "network namespace", "user namespace", "no capabilities", "filter", "read-only root", "own /run"
	const dev, memories, empty, nosuid, nodev, nnp, bounds, writable, over = "own /dev", "own directories in memory", "empty directories", "nosuid", "nodev", "no_new_privs", "bounds", "writable in memory alone", "overlay"

	// What is the machine's and its people's.
	for _, name := range []string{"read /etc/shadow", "read /etc/gshadow"} {
		probed(name, caps)
	}
	probed("read /proc/kcore", caps, user)
	probed("read /proc/kmsg", caps, user)
	for _, name := range []string{"read /dev/kmsg", "read /dev/sda", "read /dev/fuse"} {
		probed(name, dev)
	}
	for _, name := range []string{"/", "/etc", "/usr", "/usr/bin", "/opt", "/var/lib"} {
		probed("make a file in "+name, root, caps)
	}
	for _, name := range people {
		if name != "/boot" {
			probed("look into "+name, empty)
		}
	}
	probed("look into /run/user", run)
	for _, name := range doors {
		switch name {
		case "/tmp/.X11-unix/X0":
			probed("talk to "+name, memories)
		case "/dev/log":
			probed("talk to "+name, dev)
		default:
			probed("talk to "+name, run)
		}
	}
	add(makeKept, "keep a file in a directory of the machine's", writable)
	add(copyUp, "write to a setuid program, which an overlay would copy up", root, caps)
	add(linkSetuid, "make a hard link to a setuid program", root, caps)
	add(connectsFile, "talk to a socket in a directory of the machine's", over)
	add(writesFIFO, "write to who reads a FIFO in a directory of the machine's", over)
	add(locks, "hold up who locks a file of the machine's", over)
	add(watches, "watch what others do with a file of the machine's", over)
	add(func([]victim) error { return foundMount("/media", "master:", "shared:") }, "see what is mounted on the machine later", empty)

	// What the whole machine obeys.
	for _, name := range []string{"sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/vm/overcommit_memory", "sysrq-trigger"} {
		add(asRoot("set-knob", name), "open /proc/"+name+" to write, in a new procfs if need be", caps, filter, user)
	}
	add(asRoot("set-knob", "sys/user/max_user_namespaces"), "let there be user namespaces, by /proc/sys/user/max_user_namespaces", caps, filter)
	add(asRoot("set-sysfs"), "write to /sys", caps, filter, user)
	add(asRoot("release-agent"), "set a release_agent on a cgroup hierarchy", caps, filter, user)
	add(asRoot("leave-cgroup"), "leave the session's cgroup", caps, filter, user)
	for _, c := range machineCalls {
		add(c.try, c.name, c.by...)
	}

	add(beFirst, "be scheduled before everybody", caps, user)
	add(killedLast, "be the last that is killed for want of memory", caps, user)

	// Other processes.
	probed("other processes", pid)
	for _, name := range []string{"signal the first process", "trace the first process", "read the first process's memory"} {
		probed(name, caps)
	}
	for i, who := range []string{"a process of the machine", "a process of another guest"} {
		for _, a := range []struct {
			name string
			do   func(v victim) error
			by   []string
		}{
			{"signal", signals, []string{pid, caps}},
			{"stop", stops, []string{pid, caps}},
			{"set the limits of", limits, []string{pid, caps, user}},
			{"choose the processors of", moves, []string{pid, caps, user}},
			{"trace", traces, []string{pid, caps, user}},
			{"read the memory of", peeks, []string{pid, caps, user}},
			{"write to the memory of", pokes, []string{pid, caps, user}},
			{"take a descriptor of", takesDescriptor, []string{pid, caps, user}},
			{"follow /proc/PID/root of", opens("root/."), []string{pid, caps, user}},
			{"follow /proc/PID/cwd of", opens("cwd/."), []string{pid, caps, user}},
			{"open a descriptor by /proc/PID/fd of", opens("fd/1"), []string{pid, caps, user}},
			{"read the environment of", opens("environ"), []string{pid, caps, user}},
			{"see the command line of", opens("cmdline"), []string{pid}},
			{"join the network namespace of", joins, []string{pid, caps, user, filter}},
			{"talk to an abstract socket of", dialsAbstract, []string{network}},
			{"talk to a service on 127.0.0.1 of", dialsService, []string{network}},
			{"see by netlink the sockets of", victim.listsSockets, []string{network}},
			{"attach System V shared memory of", attachesShared, []string{ipc}},
			{"open a message queue of", opensQueue, []string{ipc}},
		} {
			add(func(all []victim) error { return a.do(all[i]) }, a.name+" "+who, a.by...)
		}
	}
	for i, dir := range memory {
		add(func(all []victim) error { return readable(all[1].files()[i]) }, "read what another guest has in "+dir, memories)
	}

	// Rights and namespaces.
	add(program("guest-setuid", "setuid-self"), "run a program that is setuid root on the host", nnp, nosuid)
	add(program("guest-capable", "capable"), "run a program with capabilities of its file's", nnp, nosuid)
	for _, name := range []string{"become root", "join root's group", "change the root"} {
		probed(name, caps)
	}
	for _, name := range []string{"make a user namespace", "make a user namespace by clone", "make a user namespace by clone3"} {
		probed(name, filter)
	}
	for _, name := range []string{"make a mount namespace", "make a network namespace", "mount", "unmount", "make a file system", "copy a mount", "move a mount", "pivot the root"} {
		probed(name, caps, filter)
	}
	probed("join a namespace", caps, filter)
	add(callsAnotherWay, "make a user namespace by a call of another architecture's", filter)
	for _, name := range []string{"open by handle", "read the kernel's log", "load a module", "load a kernel"} {
		probed(name, caps, user, filter)
	}
	for _, name := range []string{"load a program into the kernel", "watch the machine", "a ring of calls", "handle faults", "add a key", "read keys"} {
		probed(name, filter)
	}
	for _, name := range []string{"set the time", "set the host's name", "make a disk's device"} {
		probed(name, caps, user)
	}
	add(openDevice, "make a device node and open it", caps, user, nodev)

	// The network.
	probed("abstract sockets", network)
	probed("network devices", network)
	probed("send to another machine", network)
	for _, name := range []string{"a raw socket", "a packet socket", "the audit's messages"} {
		probed(name, caps, user)
	}
	for _, name := range []string{"a socket to the hypervisor", "a socket of the crypto interface"} {
		probed(name, filter)
	}
	add(otherFamily, "a socket of a family that no program here speaks", filter)
	add(setLink, "change a network device by netlink", caps, user)

	// What is bounded.
	add(program("attacker", "forks"), "have more processes than it may", bounds)
	for _, dir := range memory {
		add(func([]victim) error { return fills(dir) }, "fill "+dir+" beyond its size", bounds)
	}
	probed("lock memory without bound", caps, user)
	add(dumpsCore, "have cores dumped", bounds)

	// What the keeper could have handed in.
	for _, c := range handed {
		add(c.do, c.name, keeper)
	}
	return list
}
