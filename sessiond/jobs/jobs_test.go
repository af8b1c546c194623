package jobs

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ninefold/sessiond/api"
)

func TestHowJobsEnd(t *testing.T) {
	w := newWorld(t)
	w.run()
	good, bad, long := w.start("good"), w.start("bad"), w.start("long")
	if x, r := w.becomes(good, api.JobDone); x.ExitCode != 0 || r.Output != `{"id": 1}` || r.Message != "" || x.Ended.Before(x.Started) {
		t.Errorf("%+v %+v", x, r)
	}
	if x, r := w.becomes(bad, api.JobFailed); x.ExitCode != 4 || r.Message != "it is bad\nhint: make it good" {
		t.Errorf("%+v %+v", x, r)
	}
	w.becomes(long, api.JobRunning)
	w.units.mu.Lock()
	w.units.status = `{"stage": "download", "done": 3, "total": 9, "unit": "bytes"}`
	w.units.mu.Unlock()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if x, err := w.jobs.Job(t.Context(), long); err != nil || x.Stage == "download" && x.Done == 3 && x.Total == 9 && x.Unit == "bytes" {
			break
		} else if time.Now().After(end) {
			t.Fatalf("how far it is: %+v", x)
		}
	}
	if err := w.jobs.CancelJob(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	if x, r := w.becomes(long, api.JobCancelled); r.Message != "" || x.Stage != "" || x.Ended.IsZero() {
		t.Errorf("%+v %+v", x, r)
	}
	w.units.mu.Lock()
	w.units.refuse = errRefused
	w.units.mu.Unlock()
	if x, r := w.becomes(w.start("good"), api.JobFailed); x.ExitCode != -1 || !strings.Contains(r.Message, "refused") {
		t.Errorf("not started: %+v %+v", x, r)
	}
	w.leave()
	if got := w.left(); got != "1 2 3 4" {
		t.Errorf("left over: %s", got)
	}
}

// Fifty at once are done two at a time, in order, and the queue has an end.
func TestTheQueue(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for range 50 {
		ids = append(ids, w.start("good"))
	}
	w.run()
	for _, id := range ids {
		w.becomes(id, api.JobDone)
	}
	if w.units.most > maxRunning {
		t.Errorf("%d ran at a time", w.units.most)
	}
	for range maxRunning {
		w.becomes(w.start("long"), api.JobRunning)
	}
	for range maxWaiting {
		ids = append(ids, w.start("good"))
	}
	if _, err := w.jobs.StartJob(t.Context(), api.NewJob{Kind: api.JobCollect}); !errors.Is(err, api.ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	waits := ids[len(ids)-1]
	if err := w.jobs.CancelJob(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	if x, _ := w.becomes(waits, api.JobCancelled); !x.Started.IsZero() {
		t.Errorf("it was started: %+v", x)
	}
	w.start("good")
}

func TestJobsOutliveTheDaemon(t *testing.T) {
	w := newWorld(t)
	w.run()
	ended, killed, last := w.start("long"), w.start("long"), w.start("good")
	w.becomes(ended, api.JobRunning)
	w.becomes(killed, api.JobRunning)
	for end := time.Now().Add(30 * time.Second); w.units.unit(unitOf(killed)) == nil || w.units.unit(unitOf(ended)) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("they are not started")
		}
	}
	w.leave()
	// One ends while nobody looks, and another is wanted ended by then.
	u := w.units.unit(unitOf(killed))
	_ = u.cmd.Process.Kill()
	<-u.over
	w.open()
	if err := w.jobs.CancelJob(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	if x, err := w.jobs.Job(t.Context(), last); err != nil || x.State != api.JobWaiting {
		t.Errorf("what waited: %+v %v", x, err)
	}
	w.run()
	if x, r := w.becomes(killed, api.JobFailed); x.ExitCode != 128+int(syscall.SIGKILL) || !strings.Contains(r.Message, "signal 9") {
		t.Errorf("%+v %+v", x, r)
	}
	w.becomes(ended, api.JobCancelled)
	w.becomes(last, api.JobDone)
	w.leave()
	if names, _ := w.units.List(t.Context(), ""); len(names) > 0 {
		t.Errorf("units are left: %v", names)
	}
	// A daemon that was killed before it started what it had written down, and one
	// whose unit somebody took away.
	for _, begun := range []bool{false, true} {
		x := w.jobs.jobs[2]
		x.Record.Job.State = api.JobRunning
		if err := w.jobs.write(&x.Record); err != nil {
			t.Fatal(err)
		}
		if begun {
			if err := os.WriteFile(w.jobs.file(last)+outSuffix, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.open()
		w.run()
		if !begun {
			w.becomes(last, api.JobDone)
		} else if _, r := w.becomes(last, api.JobFailed); !strings.Contains(r.Message, "gone") {
			t.Errorf("%+v", r)
		}
		w.leave()
	}
}

// What is over is forgotten, and its number is not used again.
func TestJobsAreForgotten(t *testing.T) {
	w := newWorld(t)
	for range maxWaiting {
		w.start("good")
	}
	for _, id := range numbers(1, maxWaiting) {
		if err := w.jobs.CancelJob(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	for range maxWaiting {
		w.start("good")
	}
	for _, id := range numbers(maxWaiting+1, 2*maxWaiting) {
		if err := w.jobs.CancelJob(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	w.jobs.forget(time.Now())
	all, err := w.jobs.Jobs(t.Context())
	if err != nil || len(all) != maxOver || all[0].ID != numbers(2*maxWaiting-maxOver+1, 2*maxWaiting)[0] {
		t.Errorf("%d are remembered, %v", len(all), err)
	}
	w.jobs.forget(time.Now().Add(2 * overTime))
	if got := w.left(); got != "128" {
		t.Errorf("left: %s", got)
	}
	w.open()
	if id := w.start("good"); id != "129" {
		t.Errorf("the next is %s", id)
	}
}

// A record that cannot be read is left, and its number with it.
func TestRecordsOfOthersAreLeft(t *testing.T) {
	w := newWorld(t)
	first, second := w.start("good"), w.start("good")
	damaged := w.jobs.file(first)
	if err := os.Truncate(damaged, 20); err != nil {
		t.Fatal(err)
	}
	newer := kind
	newer.Version++
	if err := newer.Write(w.jobs.file("9"), w.jobs.jobs[1].Record); err != nil {
		t.Fatal(err)
	}
	w.open()
	all, err := w.jobs.Jobs(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != second {
		t.Errorf("%+v %v", all, err)
	}
	if id := w.start("good"); id != "10" {
		t.Errorf("the next is %s", id)
	}
	if got := w.left(); got != "1 10 2 9" {
		t.Errorf("left: %s", got)
	}
}

func TestWhatCanBeAJob(t *testing.T) {
	j := &Jobs{Options: Options{State: "/s"}}
	for _, c := range []struct {
		kind, names, options, want string
	}{
		{api.JobBuild, "a b", "relock check", "ninefold-build --state=/s --json --relock --check -- a b"},
		{api.JobPull, "registry.example:5000/steve/gaming:1", "", "ninefold-build pull --state=/s --json -- registry.example:5000/steve/gaming:1"},
		{api.JobVerify, "", "discard", "ninefold-ctl image verify --state=/s --json --discard --"},
		{api.JobRemove, "steve/gaming:1", "", "ninefold-ctl image remove --state=/s -- steve/gaming:1"},
		{api.JobCollect, "", "", "ninefold-ctl image gc --state=/s --json --"},
		{"push", "a", "", ""},
		{api.JobBuild, "", "", ""},
		{api.JobBuild, "a", "sign", ""},
		{api.JobBuild, "a", "check check", ""},
		{api.JobBuild, "./a.toml", "", ""},
		{api.JobBuild, "a.toml", "", ""},
		{api.JobBuild, "git+https://x@0:a", "", ""},
		{api.JobBuild, "--relock", "", ""},
		{api.JobBuild, strings.Repeat("a ", maxNames+1), "", ""},
		{api.JobPull, "a b", "", ""},
		{api.JobPull, "a\x00", "", ""},
		{api.JobPull, "../a", "", ""},
		{api.JobVerify, "-x", "", ""},
		{api.JobCollect, "a", "", ""},
	} {
		n := api.NewJob{Kind: c.kind, Names: strings.Fields(c.names), Options: strings.Fields(c.options)}
		err := j.CheckJob(n)
		if c.want == "" {
			if !errors.Is(err, api.ErrInvalid) {
				t.Errorf("%s %q %q: %v", c.kind, c.names, c.options, err)
			}
			continue
		}
		r := Record{Names: n.Names, Options: n.Options}
		r.Job.Kind = n.Kind
		if got := j.argv(r); err != nil || !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s: %q, %v", c.kind, got, err)
		}
	}
}

// FuzzNames: what is taken for a name is no flag, no path of the caller's and
// one line.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"a", "../a", "a.toml", "git+https://x@0:a", "-a", "a b", "registry.example:5000/a:1", "a@sha256:" + strings.Repeat("0a", 32)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		j := &Jobs{}
		built := j.CheckJob(api.NewJob{Kind: api.JobBuild, Names: []string{s}}) == nil
		pulled := j.CheckJob(api.NewJob{Kind: api.JobPull, Names: []string{s}}) == nil
		if built && (strings.ContainsAny(s, "/+:") || strings.HasSuffix(s, ".toml")) || (built || pulled) &&
			(s == "" || s[0] == '-' || s[0] == '/' || strings.Contains(s, "/.") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })) {
			t.Errorf("%q is taken", s)
		}
	})
}
