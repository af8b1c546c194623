package machine

import (
	"fmt"
	"strings"
)

const beside = "steve/login:1"

// besideAnInstaller brings to taker, which has nothing yet and no network any more, what maker laid beside an
// installer, and logs in on it: a key's file that root copied from there is all that decides.
func besideAnInstaller(maker, taker *Booted) {
	t := maker.t
	t.Helper()
	maker.Must("sessionctl", "image", "tag", "login", beside)
	maker.Must("sessionctl", "image", "sign", beside, "--key", "steve")
	maker.Must("sh", "-c", "sessionctl key trust steve /run/steve.pub --scope 'steve/*'")
	if r := maker.image("export", "--media", "/var/tmp/stick", beside); !r.OK() {
		t.Fatal(r)
	}
	want := maker.idOf(beside)
	if err := host(maker.ctx, "cp", "-a", fmt.Sprintf("/proc/%d/root/var/tmp/stick", maker.leader), fmt.Sprintf("/proc/%d/root/var/tmp/stick", taker.leader)); err != nil {
		t.Fatal(err)
	}
	units := "sessiond-door.socket sessiond-host.socket sessiond.service"
	taker.Must("sh", "-c", "systemctl stop "+units+" && rm -rf /var/lib/ninefold/* /etc/ninefold/trust.toml /etc/ninefold/trust.d && ip link delete cable && systemctl start "+units)
	if r := taker.Run("sh", "-c", "ip route get 192.0.2.1"); r.OK() {
		t.Errorf("the machine has a network: %s", r)
	}
	taker.Write(profileDir+"imaged.toml", strings.ReplaceAll(imaged, `"login"`, `"`+beside+`"`))
	taker.configure("[login]\ndefault = \"imaged\"\n")
	if r := taker.image("import", "--media", "/var/tmp/stick"); r.Code != 5 || !strings.Contains(r.Stderr, "left out: "+beside) {
		t.Errorf("nobody trusts who signed it: %s", r)
	}
	taker.onTheHost("an image beside an installer, whose signer nobody trusts")
	taker.Must("sh", "-c", "mkdir -p /etc/ninefold/trust.d && cp /var/tmp/stick/trust.d/* /etc/ninefold/trust.d/")
	if r := taker.image("import", "--media", "/var/tmp/stick"); !r.OK() {
		t.Fatal(r)
	}
	if got := taker.idOf(beside); got != want {
		t.Errorf("image %s was laid there, and %s is there", want, got)
	}
}
