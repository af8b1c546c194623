package machine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ninefold/roots/debian/testrepo"
)

// killsEnv says how often each command is killed, on both releases; make soak asks
// for more.
const killsEnv = "NINEFOLD_CONTEXT_KILLS"

// kills is how often a command is killed, at as many of its steps.
func kills(t *testing.T, suite string) int {
	v := os.Getenv(killsEnv)
	if v == "" {
		if suite == Suites[len(Suites)-1] {
			return 3
		}
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mover is a package that is upgraded for the machine to have moved.
func mover(version string) testrepo.Deb {
	return testrepo.Deb{Name: "mover", Version: version, Files: []testrepo.File{{Path: "usr/share/mover/version", Text: version + "\n"}}}
}

// stepsOf are n of all steps, the first and the last among them; over and over
// again where there are fewer than n. Where there are many more, as when files are
// copied, half of them are the last ones, which put what was made in its place.
func stepsOf(n, all int) (out []int) {
	if n >= 20 && all > 2*n {
		for i := range n / 2 {
			out = append(out, all-i)
		}
		n, all = n-n/2, all-n/2
	}
	for i := range n {
		switch {
		case n > all:
			out = append(out, i%all+1)
		case n == 1:
			out = append(out, all)
		default:
			out = append(out, 1+i*(all-1)/(n-1))
		}
	}
	return out
}

const contextsDir = "/var/lib/ninefold/contexts"

// killed is a command that is killed at its steps.
type killed struct {
	args []string
	// look says, in the context, what is to be the old or the new; another says it in
	// the context of that name, where that holds something.
	look, another string
	// again are the commands' exit codes when it is done already, and had been killed
	// after that.
	again []int
}

// contextKills kills every command that changes a context at its steps, and finds
// the old state or the new one, whole, from which it can be done again.
func (b *Booted) contextKills(t *testing.T, repo *testrepo.Repository, n int) {
	b.bring("./killat")
	repo.Publish(t, tool("1.0"), toollib("1.0"), mover("1.0"))
	b.Must("sh", "-c", "apt-get update -qq && apt-get install -qq -y mover; echo machine >/etc/motd; touch /etc/issue.net")
	b.Must("hc", "new", "k")
	b.hc("k", `apt-get install -qq -y tool; echo first >/etc/motd; rm /etc/issue.net; mkdir /srv/made /home/made; echo own | tee /srv/made/file >/home/made/file`)

	const look = "cat /etc/motd /srv/made/file; ls /etc/issue.net 2>&1; tool"
	start := b.keep("start")
	b.killedAt(t, n, start, killed{args: []string{"new", "another"}, look: look, again: []int{1}})
	b.killedAt(t, n, start, killed{args: []string{"enter", "k", "--", "sh", "-c", "mv /srv/made/file /srv/made/moved"}, look: "tool; ls /srv/made; cat /srv/made/*", again: []int{1}})
	b.killedAt(t, n, start, killed{args: []string{"snapshot", "k"}, look: look, again: []int{0}})
	b.killedAt(t, n, start, killed{args: []string{"rename", "k", "renamed"}, look: look, again: []int{3}})
	b.killedAt(t, n, start, killed{args: []string{"delete", "k"}, look: look, again: []int{3}})
	many := os.Getenv(killsEnv) != "" // each builds an image, or copies the machine
	if many {
		t.Run("commit", func(t *testing.T) { b.For(t).commitKilled(t, n, start, look) })
	}
	b.fromKilled(t, n, start, look)
	t.Run("promote", func(t *testing.T) { b.For(t).promoteKilled(t, n, start, look) })
	b.restore(start)
	b.Must("hc", "snapshot", "k")
	b.hc("k", "echo second >/etc/motd; rm -r /srv/made/file; echo there >/srv/made/file; touch /etc/issue.net")
	two := b.keep("two")
	b.killedAt(t, n, two, killed{args: []string{"undo", "k"}, look: look, again: []int{3}})
	var pinned string
	if many {
		pinned = b.pinKilled(t, n, start, look)
	}
	b.restore(two)
	b.Must("hc", "undo", "k")
	b.killedAt(t, n, b.keep("undone"), killed{args: []string{"redo", "k"}, look: look, again: []int{3}})

	repo.Publish(t, tool("2.0"), toollib("2.0"), mover("2.0"))
	b.Must("sh", "-c", "apt-get update -qq && apt-get install -qq -y mover; echo 'the machine moved' >/etc/motd")
	b.killedAt(t, n, start, killed{args: []string{"rebase", "k"}, look: look, again: []int{0}})
	b.restore(start)
	b.Must("hc", "rebase", "k")
	conflicts := b.keep("conflicts")
	b.killedAt(t, n, conflicts, killed{args: []string{"settle", "k", "/etc/motd", "--mine"}, look: look, again: []int{3}})
	b.killedAt(t, n, conflicts, killed{args: []string{"settle", "k", "/etc/motd", "--theirs"}, look: look, again: []int{3}})
	b.Must("hc", "delete", "k")
	if many {
		b.followKilled(t, n, pinned, look)
	}
	b.Must("sh", "-c", "rm -rf /var/lib/ninefold/kept-* /usr/local/bin/killat")
}

// keep copies all contexts as they are, and restore puts the copy in their place.
func (b *Booted) keep(name string) string {
	b.t.Helper()
	to := "/var/lib/ninefold/kept-" + name
	b.Must("cp", "-a", contextsDir, to)
	return to
}

func (b *Booted) restore(kept string) {
	b.t.Helper()
	b.eventually("nothing to be live", func() string {
		return b.Run("sh", "-c", "hc list | grep entered").Stdout
	})
	b.Must("sh", "-c", "for d in $(awk '$2 ~ \""+contextsDir+"/\" { print $2 }' /proc/mounts); do umount $d; done; find "+contextsDir+" -mindepth 1 -delete && cp -a "+kept+"/. "+contextsDir)
}

// contextState says which contexts there are, which states of them are kept, what
// these hold byte for byte, and what is in the ones in use.
func (b *Booted) contextState(look, another string) string {
	b.t.Helper()
	var all []struct {
		Name    string `json:"name"`
		Created string `json:"created"`
	}
	b.check(json.Unmarshal([]byte(b.Must("hc", "list", "--json")), &all))
	var out strings.Builder
	for _, c := range all {
		var inside string
		if c.Created == "" {
			continue // the default one, which nobody has used
		}
		look := look
		if c.Name == "another" {
			look = cmp.Or(another, "cat /etc/motd")
		}
		b.eventually("its state", func() string {
			r := b.Run("hc", "enter", c.Name, "--", "sh", "-c", look)
			inside = r.Stdout
			if strings.Contains(r.Stderr, "sessionctl: ") && !strings.Contains(r.Stderr, "the machine has changed") {
				return r.String()
			}
			return ""
		})
		type state struct {
			Layer, Why string
			Stands     struct{ Pin string }
		}
		var rec struct {
			state
			ID     string
			Points []state
			Undone *state
		}
		b.check(json.Unmarshal([]byte(b.Must("hc", "show", "--json", c.Name)), &rec))
		fmt.Fprintf(&out, "%s: %s\n", c.Name, inside)
		layers := []string{rec.Layer}
		pins := []string{rec.Stands.Pin}
		for _, p := range rec.Points {
			layers, pins = append(layers, p.Layer), append(pins, p.Stands.Pin)
			fmt.Fprintf(&out, "kept %s: %s\n", p.Why, b.layerSum(rec.ID, p.Layer))
		}
		if rec.Undone != nil {
			layers, pins = append(layers, rec.Undone.Layer), append(pins, rec.Undone.Stands.Pin)
			fmt.Fprintf(&out, "undone: %s\n", b.layerSum(rec.ID, rec.Undone.Layer))
		}
		slices.Sort(pins)
		for _, pin := range slices.Compact(pins) {
			if pin != "" {
				layers = append(layers, pin)
				fmt.Fprintf(&out, "pinned: %s\n", b.pinSum(rec.ID, pin))
			}
		}
		// Who was in it last swept: nothing half is left.
		slices.Sort(layers)
		if got := strings.Fields(b.Must("ls", contextsDir+"/"+rec.ID+"/layers")); !slices.Equal(got, layers) {
			fmt.Fprintf(&out, "layers %v, of which the record names %v\n", got, layers)
		}
		var status struct {
			Conflicts []struct{ Path string } `json:"conflicts"`
		}
		b.check(json.Unmarshal([]byte(b.Must("hc", "status", "--json", c.Name)), &status))
		fmt.Fprintf(&out, "conflicts: %v\n", status.Conflicts)
	}
	return out.String()
}

func (b *Booted) layerSum(id, layer string) string {
	b.t.Helper()
	return b.Must("sh", "-c", "cd "+contextsDir+"/"+id+"/layers/"+layer+` && tar --xattrs --xattrs-include=security.capability --xattrs-include=trusted.overlay.opaque --mtime=@0 --pax-option=exthdr.name=%d/x/%f,delete=atime,delete=ctime --numeric-owner --sort=name -c */upper | sha256sum`)
}

func (b *Booted) killedAt(t *testing.T, n int, kept string, k killed) {
	t.Helper()
	t.Run(strings.Join(k.args, " "), func(t *testing.T) { b.For(t).killedEach(t, n, kept, k) })
}

func (b *Booted) killedEach(t *testing.T, n int, kept string, k killed) {
	at := func(step int) Result {
		return b.Run(append([]string{"killat", strconv.Itoa(step), "/run/steps", "hc"}, k.args...)...)
	}
	b.restore(kept)
	before := b.contextState(k.look, k.another)
	b.restore(kept)
	if r := at(0); !r.OK() {
		t.Fatal(r)
	}
	steps, err := strconv.Atoi(b.Must("cat", "/run/steps"))
	b.check(err)
	after := b.contextState(k.look, k.another)
	if before == after {
		t.Fatalf("%v changes nothing: %s", k.args, after)
	}
	olds, news := 0, 0
	for _, step := range stepsOf(n, steps) {
		b.restore(kept)
		r := at(step)
		if r.Code == 125 {
			t.Fatal(r)
		}
		switch got := b.contextState(k.look, k.another); got {
		case before:
			olds++
			b.eventually("it to be done again", func() string {
				if r := b.Run(append([]string{"hc"}, k.args...)...); !r.OK() {
					return r.String()
				}
				return ""
			})
			if got := b.contextState(k.look, k.another); got != after {
				t.Errorf("%v, killed at step %d of %d and done again:\n%s\nwant\n%s", k.args, step, steps, got, after)
			}
		case after:
			news++
			if r := b.Run(append([]string{"hc"}, k.args...)...); !slices.Contains(k.again, r.Code) {
				t.Errorf("%v, killed at step %d of %d when it was done, a second time: %s", k.args, step, steps, r)
			}
		default:
			t.Errorf("%v, killed at step %d of %d, is neither old nor new:\n%s\nold\n%s\nnew\n%s\n%s", k.args, step, steps, got, before, after, r)
		}
	}
	t.Logf("%v: %d steps, killed %d times: %d old, %d new", k.args, steps, n, olds, news)
}
