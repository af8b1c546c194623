package machine

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLiveSessions does to the daemon what must not touch those who are logged in.
func TestLiveSessions(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			b := installed(t, suite, Options{})
			t.Run("daemon-killed", func(t *testing.T) { b.For(t).killedUnderSessions(t) })
			t.Run("upgrade", func(t *testing.T) { b.For(t).upgradedUnderSession(t) })
			t.Run("holder-killed", func(t *testing.T) { b.For(t).holderKilled(t) })
			t.Run("linger", func(t *testing.T) { b.For(t).lingering(t) })
			t.Run("recovery", func(t *testing.T) { b.For(t).recovery(t) })
			t.Run("many-at-once", func(t *testing.T) { b.For(t).manyAtOnce(t) })
			t.Run("killed-on-the-way", func(t *testing.T) { b.For(t).killedOnTheWay(t) })
			t.Run("killed-at-every-step", func(t *testing.T) { b.For(t).killedAtEveryStep(t) })
			t.Run("bad-input", func(t *testing.T) { b.For(t).badInput(t) })
			t.Run("records", func(t *testing.T) { b.For(t).records(t) })
			for _, user := range People {
				b.gone(user)
			}
			b.eventually("all views to end", func() string { return b.holders("") })
			// A session whose leader was killed fails with or without us.
			failed := b.Must("sh", "-c", "systemctl --failed --plain --no-legend | grep -v ^session- || true")
			if failed != "" {
				t.Errorf("units failed: %s", failed)
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
	before := b.holders("")
	b.Must("systemctl", "kill", "-s", "KILL", "sessiond.service")
	for term, ns := range terms {
		if now := b.ns(term); now != ns {
			t.Errorf("a session moved from %s to %s", ns, now)
		}
	}
	b.eventually("the daemon to come back", func() string {
		return strings.TrimPrefix(b.Run("systemctl", "is-active", "sessiond.service").Stdout, "active\n")
	})
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
	var wg sync.WaitGroup
	results := make([]Result, logins)
	for i := range logins {
		wg.Go(func() { results[i] = b.Machine.Run(b.ctx, "su", "-l", People[i%3], "-c", "cat /etc/ninefold-marker") })
	}
	wg.Wait()
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
