#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "probe.h"

static void cannot_reach(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
	static const int kinds[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	bool reached = false;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !reached; i++) {
		int s = socket(AF_UNIX, kinds[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		// A full queue, and one of another type, are doors all the same.
		if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof to) == 0 || errno == EAGAIN || errno == EPROTOTYPE)
			reached = s >= 0;
		int error = errno;
		if (s >= 0)
			close(s);
		errno = error;
		if (!reached && (error == ENOENT || error == ENOTDIR))
			break; // there is none, whatever its type
	}
	char name[192];
	snprintf(name, sizeof name, "talk to %s", path);
	say(name, !reached, "%s", reached ? "somebody listens" : strerror(errno));
}

void try_sockets(void)
{
	static const char *const doors[] = { "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/notify",
		"/run/systemd/journal/socket", "/run/systemd/journal/stdout", "/run/systemd/journal/dev-log", "/dev/log",
		"/run/systemd/resolve/io.systemd.Resolve", "/run/systemd/userdb/io.systemd.DynamicUser",
		"/run/systemd/machine/io.systemd.Machine", "/run/udev/control",
		"/run/nscd/socket", "/var/lib/sss/pipes/nss", "/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock",
		"/run/ninefold/door", "/run/ninefold/broker/host", "/run/cups/cups.sock", "/run/pcscd/pcscd.comm", "/tmp/.X11-unix/X0", "/run/snapd.socket" };
	for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
		cannot_reach(doors[i]);
	// Abstract names belong to the network namespace, where nobody is yet.
	static char text[64 << 10];
	if (!read_text("/proc/net/unix", text, sizeof text)) {
		say("abstract sockets", false, "%s", strerror(errno));
		return;
	}
	char *name = strchr(text, '@');
	if (name)
		name[strcspn(name, "\n")] = 0;
	say("abstract sockets", !name, "%s", name ? name : "there are none");
}

void try_network(void)
{
	struct if_nameindex *all = if_nameindex();
	bool other = !all;
	for (struct if_nameindex *i = all; i && i->if_index; i++)
		if (strcmp(i->if_name, "lo"))
			other = true;
	if (all)
		if_freenameindex(all);
	say("network devices", !other, "%s", other ? "there are others than lo" : "lo alone");

	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	inet_pton(AF_INET, "192.0.2.1", &to.sin_addr); // for documentation: nobody has it
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	denied("send to another machine", s < 0 || connect(s, (struct sockaddr *)&to, sizeof to));
	if (s >= 0)
		close(s);
	static const struct {
		const char *name;
		int family, type, protocol;
	} sockets[] = {
		{ "a raw socket", AF_INET, SOCK_RAW, IPPROTO_ICMP },
		{ "a packet socket", AF_PACKET, SOCK_RAW, 0 },
		{ "a socket to the hypervisor", AF_VSOCK, SOCK_STREAM, 0 },
		{ "a socket of the crypto interface", AF_ALG, SOCK_SEQPACKET, 0 },
		{ "the audit's messages", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT },
	};
	for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
		s = socket(sockets[i].family, sockets[i].type | SOCK_CLOEXEC, sockets[i].protocol);
		if (s >= 0 && sockets[i].family == AF_NETLINK) {
			// Reading is for who has a capability; a socket alone says nothing.
			struct sockaddr_nl group = { .nl_family = AF_NETLINK, .nl_groups = 1 };
			denied(sockets[i].name, bind(s, (struct sockaddr *)&group, sizeof group) != 0);
		} else {
			denied(sockets[i].name, s < 0);
		}
		if (s >= 0)
			close(s);
	}
}
