package machine

import (
	"strings"
	"testing"
)

// machinedKnows: while systemd-machined runs it lists the views that live, and no
// more, whichever of the two starts anew.
func (b *Booted) machinedKnows(t *testing.T) {
	b.gone("alice")
	b.gone("bob")
	b.Run("systemctl", "stop", "systemd-machined.service")
	term := b.login("alice")
	if r := b.Run("systemctl", "is-active", "systemd-machined.service"); r.OK() {
		t.Error("a login has started machined")
	}
	b.Must("systemctl", "start", "systemd-machined.service")
	view := b.viewOf("alice")
	name := "ninefold-" + view
	b.machines(name)
	scope := "ninefold-view-" + view + ".scope"
	if out := b.Must("machinectl", "show", name); !strings.Contains(out, "\nUnit="+scope+"\n") || !strings.Contains(out, "Service=ninefold\n") {
		t.Errorf("it is shown as\n%s", out)
	}
	if out := b.Must("machinectl", "status", "--no-pager", name); !strings.Contains(out, "ninefold-init") {
		t.Errorf("its status is\n%s", out)
	}
	// The bus in the view is the host's: a shell there would be root's on the host.
	for _, command := range []string{"machinectl shell NAME /usr/bin/touch /root/reached", "machinectl shell alice@NAME /usr/bin/touch /home/alice/reached",
		"systemd-run -M NAME --wait touch /root/reached", "machinectl copy-to NAME /etc/hostname /root/reached", "machinectl login NAME"} {
		if r := b.Run("sh", "-c", "timeout 20 "+strings.ReplaceAll(command, "NAME", name)+" </dev/null"); r.OK() || r.Code == 124 {
			t.Errorf("machined reaches into a view: %s", r)
		}
	}
	if r := b.Run("sh", "-c", "ls /root/reached /home/alice/reached"); r.OK() {
		t.Errorf("it was on the host: %s", r)
	}

	// Another one comes and goes.
	other := b.login("bob")
	bobs := "ninefold-" + b.viewOf("bob")
	b.machines(name, bobs)
	other.Close()
	b.gone("bob")
	b.machines(name)

	// Either starts anew, with and without what it knew.
	b.Must("systemctl", "restart", "sessiond.service")
	b.machines(name)
	b.Must("systemctl", "restart", "systemd-machined.service")
	b.machines(name)
	b.Must("sh", "-c", "systemctl stop systemd-machined.service; rm -rf /run/systemd/machines/*; systemctl start systemd-machined.service")
	b.machines(name)

	// What it takes off is the view's holder. Who is in goes on.
	b.Must("machinectl", "terminate", name)
	b.machines()
	if out, _, err := term.Do("cat /etc/ninefold-marker"); err != nil || !strings.Contains(out, "marked") {
		t.Errorf("the session after that: %q, %v", out, err)
	}
	term.Close()
	b.gone("alice")
	b.Must("systemctl", "stop", "systemd-machined.service")
}

// machines waits until machined's list has these names.
func (b *Booted) machines(names ...string) {
	b.t.Helper()
	b.eventually("machined to know "+strings.Join(names, " and "), func() string {
		out := b.Must("machinectl", "list", "--no-legend")
		for _, name := range names {
			if !strings.Contains(out, name+" vm ") {
				return out + " lacks " + name
			}
		}
		if strings.Count(out, "ninefold-") != len(names) {
			return "it knows " + out
		}
		return ""
	})
}
