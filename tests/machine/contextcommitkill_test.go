package machine

import (
	"strconv"
	"testing"
)

// commitKilled kills commit at its steps. The context stays as it is, and the same
// command, said to replace what that left, makes the same image.
func (b *Booted) commitKilled(t *testing.T, n int, kept, look string) {
	const recipe = "/etc/ninefold/recipes/kimg"
	const images = "sessionctl image list --json"
	b.loops()
	none := func() {
		b.t.Helper()
		b.eventually("nothing to build", func() string { return b.Run("pgrep", "-x", "ninefold-build").Stdout })
		b.Must("sh", "-c", "rm -f "+recipe+".*; sessionctl image remove kimg >/dev/null 2>&1; true")
	}
	commit := []string{"commit", "k", "--as", "kimg"}
	at := func(step int) Result {
		return b.Run(append([]string{"killat", strconv.Itoa(step), "/run/steps", "hc"}, commit...)...)
	}
	b.restore(kept)
	before := b.contextState(look, "")
	if r := at(0); !r.OK() {
		t.Fatal(r)
	}
	steps, err := strconv.Atoi(b.Must("cat", "/run/steps"))
	b.check(err)
	whole := b.Must("sh", "-c", images)
	started, alone := 0, 0
	for _, step := range stepsOf(n, steps) {
		none()
		if r := at(step); r.Code == 125 {
			t.Fatal(r)
		}
		if got := b.contextState(look, ""); got != before {
			t.Errorf("commit, killed at step %d of %d, has changed the context:\n%s\nwant\n%s", step, steps, got, before)
		}
		switch {
		case b.Run("test", "-e", recipe+".toml").OK():
			started++
			b.Must("test", "-s", recipe+".tar")
		case b.Run("test", "-e", recipe+".tar").OK():
			alone++
		}
		b.eventually("the commit to be done again", func() string {
			r := b.Run("hc", "commit", "k", "--as", "kimg", "--replace")
			if r.OK() {
				return ""
			}
			return r.String()
		})
		if got := b.Must("sh", "-c", images); got != whole {
			t.Errorf("commit, killed at step %d of %d and done again, made\n%s\nwant\n%s", step, steps, got, whole)
		}
	}
	none()
	t.Logf("commit: %d steps, killed %d times: %d with a recipe, %d with an archive alone", steps, n, started, alone)
}
