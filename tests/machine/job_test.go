package machine

import (
	"encoding/json"
	"fmt"
	"strings"
)

// slow is an image whose build waits until somebody ends it.
const slow = `version = 1
name = "slow"
from = "login"

[source]
directory = "slow"

[finish]
steps = []
run = ["sleep 3600"]
`

type jobListed struct {
	ID, Kind, Subject, State, Stage, Message string
	UID                                      uint32
	ExitCode                                 int `json:"exit_code"`
	Result                                   json.RawMessage
}

func (b *Booted) jobs() (all []jobListed) {
	b.t.Helper()
	b.check(json.Unmarshal([]byte(b.Must("sessionctl", "job", "list", "--json")), &all))
	return all
}

func (b *Booted) jobOf(id string) (x jobListed) {
	b.t.Helper()
	b.check(json.Unmarshal([]byte(b.Must("sessionctl", "job", "show", "--json", id)), &x))
	return x
}

// asked reads the number of a job out of what asking for it printed.
func (b *Booted) asked(r Result) string {
	b.t.Helper()
	id, ok := strings.CutPrefix(strings.TrimSpace(r.Stdout), "job ")
	if !r.OK() || !ok {
		b.t.Fatalf("no job: %s", r)
	}
	return id
}

// becomes waits until a job is in a state, and in a stage if one is given.
func (b *Booted) becomes(id, state, stage string) jobListed {
	b.t.Helper()
	var x jobListed
	b.eventually("job "+id+" to be "+state+" "+stage, func() string {
		if x = b.jobOf(id); x.State == state && (stage == "" || x.Stage == stage) {
			return ""
		}
		return fmt.Sprintf("%+v", x)
	})
	return x
}

const buildRule = `polkit.addRule(function(a, s) {
	if (a.id == "org.ninefold.image.build" && s.user == "bob" && a.lookup("subject") == "slow") return polkit.Result.YES; });`

// inBackground has the daemon do long work, on a machine that was given the
// image "login" and what it was built of.
func (b *Booted) inBackground() {
	t := b.t
	t.Helper()
	b.Must("sh", "-c", "mkdir -p /etc/ninefold/recipes/slow/etc && cp /var/lib/ninefold/config/recipes/*.toml /var/lib/ninefold/config/recipes/*.lock /etc/ninefold/recipes/ && echo slow >/etc/ninefold/recipes/slow/etc/slow")
	b.Write("/etc/ninefold/recipes/slow.toml", slow)
	b.Must("systemd-run", "--unit=watch", "-p", "StandardOutput=file:/run/watch", "busctl", "monitor", "org.ninefold")

	id := b.asked(b.Run("sessionctl", "image", "build", "--background", "--offline", "login"))
	if r := b.RunAs("carol", "sessionctl", "job", "follow", id); !r.OK() || !strings.Contains(r.Stdout, "is done") {
		t.Errorf("another follows: %s", r)
	}
	if x := b.jobOf(id); x.State != "done" || x.ExitCode != 0 || !strings.Contains(string(x.Result), `"name": "login"`) {
		t.Errorf("a build that is done: %+v", x)
	}
	if r := b.Run("sessionctl", "job", "follow", b.asked(b.Run("sessionctl", "image", "build", "--background", "nothing"))); r.Code != 3 || !strings.Contains(r.Stderr, "nothing") {
		t.Errorf("a recipe that there is not: %s", r)
	}
	for _, wrong := range []string{"/etc/ninefold/recipes/slow.toml", "slow.toml", "git+https://example.org/x@0123:slow.toml", "--state=/tmp"} {
		if r := b.Run("busctl", "call", "--", "org.ninefold", "/org/ninefold", "org.ninefold.Manager", "BuildImages", "asa{sv}", "1", wrong, "0"); r.OK() || !strings.Contains(r.Stderr, "give the name") {
			t.Errorf("built out of %s: %s", wrong, r)
		}
	}
	if r := b.Run("sessionctl", "image", "build", "--background", "--sign", "me", "slow"); r.Code != 2 {
		t.Errorf("a flag that the daemon does not take: %s", r)
	}
	b.othersJobs()
	b.endsOfJobs()
	b.manyJobs()
	// The monitor ended with the bus.
	seen := b.Must("cat", "/run/watch")
	for _, want := range []string{"JobNew", "PropertiesChanged", `"org.ninefold.Job"`, `STRING "Stage"`, `STRING "finish"`} {
		if !strings.Contains(seen, want) {
			t.Errorf("the bus was not told %s", want)
		}
	}
	b.eventually("nothing of jobs to be left", func() string {
		return b.Must("sh", "-c", "systemctl list-units --all --plain --no-legend 'ninefold-job-*'; ls /run/ninefold/state/jobs | grep '[.]' || true")
	})
}

// othersJobs has somebody who is not root ask for a job that polkit lets them
// have, and others reach for it.
func (b *Booted) othersJobs() {
	t := b.t
	if r := b.RunAs("bob", "sessionctl", "image", "build", "--background", "slow"); r.Code != 8 || !strings.Contains(r.Stderr, "polkit") {
		t.Errorf("without permission: %s", r)
	}
	b.Write("/etc/polkit-1/rules.d/10-test.rules", buildRule)
	var r Result
	b.eventually("polkit to read its rule", func() string {
		if r = b.RunAs("bob", "sessionctl", "image", "build", "--background", "slow"); r.OK() {
			return ""
		}
		return r.Stderr
	})
	id := b.asked(r)
	if r := b.RunAs("bob", "sessionctl", "image", "build", "--background", "login"); r.Code != 8 {
		t.Errorf("another image than the rule says: %s", r)
	}
	b.Must("rm", "/etc/polkit-1/rules.d/10-test.rules")
	x := b.becomes(id, "running", "finish")
	if uid := strings.TrimSpace(b.Must("id", "-u", "bob")); fmt.Sprint(x.UID) != uid {
		t.Errorf("bob's job is of uid %d", x.UID)
	}
	if r := b.RunAs("carol", "sessionctl", "job", "cancel", id); r.Code != 8 {
		t.Errorf("another cancels: %s", r)
	}
	if r := b.RunAs("carol", "busctl", "call", "org.ninefold", "/org/ninefold/job/"+id, "org.ninefold.Job", "GetResult"); r.OK() {
		t.Errorf("another reads the result: %s", r)
	}
	// A second build of the image waits for the first one.
	second := b.asked(b.Run("sessionctl", "image", "build", "--background", "slow"))
	b.becomes(second, "running", "wait")

	// The daemon is killed, and then the bus goes away. Both come back.
	unit := "ninefold-job-" + id + ".service"
	pid := b.Must("systemctl", "show", "-P", "MainPID", unit)
	b.Must("systemctl", "kill", "-s", "KILL", "sessiond.service")
	b.eventually("the daemon to come back", func() string { return b.Run("sessionctl", "job", "list").Stderr })
	b.becomes(id, "running", "finish")
	b.Must("systemctl", "stop", "dbus.socket", "dbus.service")
	if r := b.Run("sessionctl", "job", "list"); r.Code != 9 {
		t.Errorf("without a bus: %s", r)
	}
	b.Must("systemctl", "start", "dbus.socket", "dbus.service")
	b.eventually("the daemon to be on the bus", func() string { return b.Run("sessionctl", "job", "list").Stderr })
	if now := b.Must("systemctl", "show", "-P", "MainPID", unit); now != pid {
		t.Errorf("the job's process was %s, and is %s", pid, now)
	}

	if r := b.RunAs("bob", "sessionctl", "job", "cancel", id); !r.OK() {
		t.Errorf("one's own: %s", r)
	}
	b.becomes(id, "cancelled", "")
	if r := b.RunAs("bob", "sessionctl", "job", "follow", id); r.Code != 130 {
		t.Errorf("following what was cancelled: %s", r)
	}
	b.becomes(second, "running", "finish")
	b.Must("sessionctl", "job", "cancel", second)
	b.becomes(second, "cancelled", "")
}

// endsOfJobs kills the command of a job, while the daemon sees it and while it
// does not.
func (b *Booted) endsOfJobs() {
	t := b.t
	for _, away := range []bool{false, true} {
		id := b.asked(b.Run("sessionctl", "image", "build", "--background", "slow"))
		b.becomes(id, "running", "finish")
		if away {
			b.Must("systemctl", "stop", "sessiond-door.socket", "sessiond-host.socket", "sessiond.service")
		}
		b.Must("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "ninefold-job-"+id+".service")
		if away {
			b.Must("systemctl", "start", "sessiond-door.socket", "sessiond-host.socket", "sessiond.service")
			b.eventually("the daemon to be on the bus", func() string { return b.Run("sessionctl", "job", "list").Stderr })
		}
		if x := b.becomes(id, "failed", ""); x.ExitCode != 137 || !strings.Contains(x.Message, "signal 9") {
			t.Errorf("killed, with the daemon away %v: %+v", away, x)
		}
	}
	id := b.asked(b.Run("sessionctl", "image", "verify", "--background", "login"))
	if r := b.Run("sessionctl", "job", "follow", id); !r.OK() {
		t.Errorf("the store after all that: %s", r)
	}
	if r := b.Run("sessionctl", "job", "follow", b.asked(b.Run("sessionctl", "image", "remove", "--background", "nothing"))); r.Code != 3 {
		t.Errorf("an image that there is not: %s", r)
	}
	if r := b.Run("sessionctl", "job", "follow", b.asked(b.Run("sessionctl", "image", "pull", "--background", "localhost:1/steve/gaming:1"))); r.OK() || !strings.Contains(r.Stderr, "gaming") {
		t.Errorf("a registry that there is not: %s", r)
	}
}

// manyJobs asks for more than run at a time, and than may wait.
func (b *Booted) manyJobs() {
	t := b.t
	var first []string
	for _, stage := range []string{"finish", "wait"} {
		id := b.asked(b.Run("sessionctl", "image", "build", "--background", "slow"))
		b.becomes(id, "running", stage)
		first = append(first, id)
	}
	b.Must("sh", "-c", "for i in $(seq 64); do busctl call org.ninefold /org/ninefold org.ninefold.Manager CollectGarbage 'a{sv}' 0 >/dev/null || exit 1; done")
	if r := b.Run("sessionctl", "image", "gc", "--background"); r.Code != 6 {
		t.Errorf("one more than may wait: %s", r)
	}
	running := 0
	for _, x := range b.jobs() {
		if x.State == "running" {
			running++
		}
	}
	if running != 2 {
		t.Errorf("%d jobs run", running)
	}
	// What waits is ended before it begins, but for a few.
	all := b.jobs()
	waiting := []string{"sessionctl", "job", "cancel"}
	for _, x := range all[:len(all)-2] {
		if x.State == "waiting" {
			waiting = append(waiting, x.ID)
		}
	}
	b.Must(waiting...)
	b.Must("sessionctl", "job", "cancel", first[0], first[1])
	for _, x := range all[len(all)-2:] {
		if x := b.becomes(x.ID, "done", ""); x.Kind != "gc" {
			t.Errorf("the last job is %+v", x)
		}
	}
	// Who was cancelled while it ran has a moment to end.
	b.eventually("all jobs to be over", func() string {
		for _, x := range b.jobs() {
			if x.State == "waiting" || x.State == "running" {
				return fmt.Sprintf("%+v", x)
			}
		}
		return ""
	})
}
