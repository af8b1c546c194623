package machine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLiveSessions does to the daemon what must not touch those who are logged in.
func TestLiveSessions(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			mounts := b.hostMounts()
			for _, c := range []struct {
				name string
				do   func(*Booted, *testing.T)
			}{
				{"daemon-killed", (*Booted).killedUnderSessions}, {"daemon-hung", (*Booted).hungUnderSession}, {"upgrade", (*Booted).upgradedUnderSession},
				{"holder-killed", (*Booted).holderKilled}, {"linger", (*Booted).lingering}, {"recovery", (*Booted).recovery},
				{"many-at-once", (*Booted).manyAtOnce}, {"killed-on-the-way", (*Booted).killedOnTheWay}, {"killed-at-every-step", (*Booted).killedAtEveryStep},
				{"bad-input", (*Booted).badInput}, {"records", (*Booted).records},
			} {
				t.Run(c.name, func(t *testing.T) {
					b := b.For(t)
					// How often a person logs in here is more than systemd lets a unit start.
					for uid := 1000; uid < 1003; uid++ {
						for _, unit := range []string{"user-runtime-dir", "user"} {
							b.Run("systemctl", "reset-failed", fmt.Sprintf("%s@%d.service", unit, uid))
						}
					}
					c.do(b, t)
					for _, user := range People {
						b.gone(user)
					}
					b.clean(t, mounts)
				})
			}
		})
	}
}

// ns is the view that a live terminal is in; it must still answer.
func (b *Booted) ns(term *Terminal) string {
	b.t.Helper()
	out, code, err := term.Do("readlink /proc/self/ns/mnt && systemctl --user is-active basic.target >/dev/null")
	b.check(err)
	if code != 0 {
		b.t.Fatalf("a live session does not work any more: %s", term.Shown())
	}
	return strings.TrimSpace(out)
}

func (b *Booted) login(user string) *Terminal {
	b.t.Helper()
	term, err := b.LogIn(b.ctx, user, "login", user)
	b.check(err)
	b.t.Cleanup(term.Close)
	return term
}

func (b *Booted) killedUnderSessions(t *testing.T) {
	const each = 10
	terms := map[*Terminal]string{}
	for i := range 2 * each {
		term := b.login(People[i%2])
		terms[term] = b.ns(term)
	}
	before, was := b.holders(""), b.daemon()
	b.Must("systemctl", "kill", "-s", "KILL", "sessiond.service")
	for term, ns := range terms {
		if now := b.ns(term); now != ns {
			t.Errorf("a session moved from %s to %s", ns, now)
		}
	}
	b.another(was)
	if after := b.holders(""); after != before {
		t.Errorf("views before:\n%s\nand after:\n%s", before, after)
	}
	for term := range terms {
		b.check(term.Type("exit\n"))
		if _, err := term.Wait(patience); err != nil {
			t.Error(err)
		}
	}
	p := b.probe(t, Ways[0], "alice")
	for _, ns := range terms {
		if p["mnt"] == ns {
			return
		}
	}
	t.Errorf("a login after the restart is not in a view that there was: %v", p)
}

// daemon is the pid of the daemon.
func (b *Booted) daemon() string {
	b.t.Helper()
	return b.Must("systemctl", "show", "-P", "MainPID", "sessiond.service")
}

// another waits until a daemon serves that is not the one with pid was.
func (b *Booted) another(was string) {
	b.t.Helper()
	b.eventually("the daemon to come back", func() string {
		if is := b.daemon(); is == was || is == "0" || !b.Run("systemctl", "is-active", "sessiond.service").OK() {
			return is
		}
		return ""
	})
}

// hungUnderSession has the watchdog end a daemon that does nothing any more.
func (b *Booted) hungUnderSession(t *testing.T) {
	const sooner = "/run/systemd/system/sessiond.service.d/sooner.conf"
	b.Write(sooner, "[Service]\nWatchdogSec=3\n")
	b.Must("systemctl", "daemon-reload")
	b.Must("systemctl", "restart", "sessiond.service")
	term := b.login("alice")
	ns, was := b.ns(term), b.daemon()
	b.Must("systemctl", "kill", "-s", "STOP", "sessiond.service")
	b.another(was)
	if now := b.ns(term); now != ns {
		t.Errorf("the session moved from %s to %s", ns, now)
	}
	if p := b.probe(t, Ways[0], "alice"); p["mnt"] != ns {
		t.Errorf("a login after the restart is in another view: %v", p)
	}
	term.Close()
	b.Must("rm", sooner)
	b.Must("systemctl", "daemon-reload")
	b.Must("systemctl", "restart", "sessiond.service")
}

func (b *Booted) upgradedUnderSession(t *testing.T) {
	term := b.login("alice")
	ns := b.ns(term)
	b.check(b.Install(b.ctx, "../.."))
	if now := b.ns(term); now != ns {
		t.Errorf("the session moved from %s to %s", ns, now)
	}
	if p := b.probe(t, Ways[0], "alice"); p["mnt"] != ns {
		t.Errorf("a login after the upgrade is in another view: %v", p)
	}
	if marked := b.Must("cat", "/etc/ninefold/ninefold.toml"); !strings.Contains(marked, "marked") {
		t.Errorf("the upgrade took the configuration: %s", marked)
	}
}

func (b *Booted) holderKilled(t *testing.T) {
	term := b.login("alice")
	ns := b.ns(term)
	b.Must("systemctl", "kill", "-s", "KILL", "ninefold-view-1000-*.scope")
	if now := b.ns(term); now != ns {
		t.Errorf("the session moved from %s to %s", ns, now)
	}
	b.probe(t, Ways[0], "alice")
	term.Close()
	b.gone("alice")
	if p := b.probe(t, Ways[0], "alice"); p["marker"] != "marked" {
		t.Errorf("afterwards: %v", p)
	}
	b.gone("alice")
}

// lingering has a user manager before anybody logs in.
func (b *Booted) lingering(t *testing.T) {
	b.Must("loginctl", "enable-linger", "carol")
	b.Must("systemctl", "start", "user@1002.service")
	b.probe(t, Ways[0], "carol")
	b.Must("systemctl", "restart", "sessiond.service")
	p := b.probe(t, Ways[0], "carol")
	b.allIn("carol", p["mnt"])
	b.Must("loginctl", "disable-linger", "carol")
	b.gone("carol")
}

// recovery logs in while the daemon is away, and once more when it is back.
func (b *Booted) recovery(t *testing.T) {
	b.Must("systemctl", "stop", "sessiond-door.socket", "sessiond.service")
	term := b.login("carol")
	host := b.ns(term)
	if host != b.hostNS() {
		t.Errorf("not on the host: %s", host)
	}
	b.Must("systemctl", "start", "sessiond-door.socket", "sessiond.service")
	// A manager runs on the host: the next login gets one of its own, and is told.
	b.managed("carol")
	p, shown := b.look(t, Ways[4], "carol")
	b.whole(t, p, "carol")
	if p["mnt"] == host || p["marker"] != "marked" || !strings.Contains(shown, "ninefold: your user manager runs on the host") {
		t.Errorf("beside a manager on the host: %v\n%s", p, shown)
	}
	term.Close()
	b.gone("carol")
	if p := b.probe(t, Ways[0], "carol"); p["marker"] != "marked" {
		t.Errorf("when everything is over: %v", p)
	}
	// Another profile within the ten seconds that the manager stays.
	b.Write(profileDir+"other.toml", strings.ReplaceAll(marked, "marked", "other"))
	b.configure("[login]\ndefault = \"other\"\n")
	b.probe(t, Ways[0], "carol")
	b.configure("[login]\ndefault = \"marked\"\n")
	b.gone("carol")
}

func (b *Booted) manyAtOnce(t *testing.T) {
	const logins = 50
	results := together(logins, func(i int) Result {
		return b.Machine.Run(b.ctx, "su", "-l", People[i%3], "-c", "cat /etc/ninefold-marker")
	})
	entered := 0
	for _, r := range results {
		switch {
		case r.Err != nil:
			t.Fatal(r)
		case r.OK() && r.Stdout == "marked":
			entered++
		case !strings.Contains(r.Stderr, "ninefold: "):
			t.Errorf("neither in the view nor told why: %s", r)
		}
	}
	t.Logf("%d of %d entered", entered, logins)
	if entered < logins/2 {
		t.Errorf("only %d of %d entered", entered, logins)
	}
}

// killedOnTheWay kills logins at any moment, and looks that nothing stays.
func (b *Booted) killedOnTheWay(t *testing.T) {
	b.gone("carol")
	const script = `for i in $(seq 0 40); do
		setsid su -l carol -c 'sleep 60' >/dev/null 2>&1 & p=$!
		sleep $(printf '0.%03d' $((i * 3)))
		kill -KILL $p
	done 2>/dev/null; wait; true`
	b.Must("bash", "-c", script)
	b.gone("carol")
	if p := b.probe(t, Ways[0], "carol"); p["marker"] != "marked" {
		t.Errorf("afterwards: %v", p)
	}
	b.gone("carol")
}

// records looks that logins and logouts are recorded on the host.
func (b *Booted) records(t *testing.T) {
	last := []string{"last", "-w"}
	if b.Run("test", "-x", "/usr/bin/wtmpdb").OK() {
		last = []string{"wtmpdb", "last"}
	}
	find := func(want bool) func() string {
		return func() string {
			out := b.Must(last...)
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "carol ") {
					if open := strings.Contains(line, "still logged in"); open == want {
						return ""
					}
					break
				}
			}
			return fmt.Sprintf("carol's last line says otherwise (still logged in: %v):\n%s", want, out)
		}
	}
	term := b.login("carol")
	b.eventually("the login in wtmp", find(true))
	time.Sleep(1100 * time.Millisecond) // records count in seconds
	b.check(term.Type("exit\n"))
	b.eventually("the logout in wtmp", find(false))
	b.gone("carol")
}
