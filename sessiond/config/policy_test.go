package config

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/sessiond/policy"
)

// write makes files below dir.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func asks(s *policy.Set) string {
	d := s.Decide(policy.Request{Kind: policy.Local, User: "mia", Target: "root", Program: "/usr/bin/id"})
	if d.Rule != nil {
		return d.Verdict.String() + " by " + filepath.Base(d.Rule.File)
	}
	return d.Verdict.String()
}

const (
	allowed = "ninefold 1\nallow user * profile * as root run /usr/bin/id\n"
	denied  = "ninefold 1\ndeny\n"
)

func TestWhichFilesAreThePolicyAndInWhichOrder(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{nil, "deny"},
		{map[string]string{"host.policy": allowed}, "allow by host.policy"},
		{map[string]string{"host.policy": denied, "host.policy.d/b.policy": allowed}, "allow by b.policy"},
		{map[string]string{"host.policy.d/b.policy": denied, "host.policy.d/a.policy": allowed}, "allow by a.policy"},
		{map[string]string{"host.policy.d/a.policy.dpkg-old": allowed, "host.policy.d/.a.policy": allowed, "host.policy.d/a": "what"}, "deny"},
	} {
		dir := t.TempDir()
		write(t, dir, c.files)
		s, err := LoadPolicy(dir)
		if err != nil || asks(s) != c.want {
			t.Errorf("%v: %s %v, want %s", c.files, asks(s), err, c.want)
		}
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"host.policy": "ninefold 1\nalow\n", "host.policy.d/x.policy": "ninefold 1\nallow usr\n"})
	_, err := LoadPolicy(dir)
	if !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), "host.policy:2:1: ") || !strings.Contains(err.Error(), "x.policy:2:7: ") {
		t.Errorf("not everything that is wrong is told: %v", err)
	}
}

func TestAPolicyThatOthersCanChangeIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"host.policy": allowed})
	name := filepath.Join(dir, PolicyFile)
	if err := os.Chmod(name, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPolicy(dir); !errors.Is(err, ErrPolicyOwner) {
		t.Errorf("a file that everybody writes: %v", err)
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"host.policy.d/a.policy": allowed})
	if err := os.Chmod(filepath.Join(dir, PolicyDir), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPolicy(dir); !errors.Is(err, ErrPolicyOwner) {
		t.Errorf("a directory that everybody writes: %v", err)
	}
}

func TestAWrongPolicyLeavesTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	write(t, dir, map[string]string{"host.policy": "ninefold 1\nalow\n"})
	changed := make(chan struct{}, 100)
	l := Follow([]string{dir}, log, func() { changed <- struct{}{} })
	first := l.State()
	if asks(l.State().Policy) != "deny" || first.PolicyErr == nil || !strings.Contains(first.Problem().Error(), "until this is mended nothing may be run on the host") {
		t.Fatalf("with a policy that was never right: %s %v", asks(l.State().Policy), first.Problem())
	}

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Watch(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	// until waits for what a change on disk brings about.
	until := func(what, want string, wrong bool) {
		t.Helper()
		limit := time.After(20 * time.Second)
		for {
			st := l.State()
			if asks(st.Policy) == want && (st.Problem() != nil) == wrong {
				return
			}
			select {
			case <-changed:
			case <-limit:
				t.Fatalf("%s: %s and %v, want %s", what, asks(st.Policy), st.Problem(), want)
			}
		}
	}
	write(t, dir, map[string]string{"host.policy": allowed})
	until("mended", "allow by host.policy", false)
	write(t, dir, map[string]string{"host.policy": "ninefold 1\nalow\n"})
	until("broken again", "allow by host.policy", true)
	write(t, dir, map[string]string{"host.policy": denied})
	until("mended again", "deny by host.policy", false)
	write(t, dir, map[string]string{"host.policy.d/10-a.policy": allowed})
	until("a file beside it", "allow by 10-a.policy", false)
	write(t, dir, map[string]string{"host.policy.d/10-a.policy": denied})
	until("the file beside it changed", "deny by 10-a.policy", false)
	if err := os.RemoveAll(filepath.Join(dir, PolicyDir)); err != nil {
		t.Fatal(err)
	}
	until("the file beside it removed", "deny by host.policy", false)
}
