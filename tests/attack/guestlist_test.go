package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
)

// TestAttacksOnAGuest has the list tried in a guest's session, where each is denied, and
// in sessions that are weakened: in one without any of the rules each gets through, and in those
// with one rule alone everything is denied that the list says the rule denies.
func TestAttacksOnAGuest(t *testing.T) {
	apart(t)
	stage, err := os.MkdirTemp(dir, "stage-")
	if err == nil {
		err = unix.Mount("stage", stage, "tmpfs", 0, "mode=0755")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(stage, unix.MNT_DETACH) })
	if err = unix.Mount("", stage, "", unix.MS_SHARED, ""); err == nil {
		err = furnish(stage)
	}
	if err != nil {
		t.Fatal(err)
	}
	listen(t, stage)
	offer(t)
	programs(t)
	p := profile{"attacked", fmt.Sprintf("namespace = \"bind -r %s %s\"\n[keep]\nsize = \"%d\"\n[isolation]\nuser = \"dynamic\"\n[limits]\nnproc = 64\n", bin, guestBin, sized), 0}
	if err := p.write(); err != nil {
		t.Fatal(err)
	}
	text, err := sessionctl("ns", p.name).Output()
	if err != nil {
		t.Fatal(err)
	}
	planned := filepath.Join(dir, "attacked.ns")
	if err := os.WriteFile(planned, text, 0o600); err != nil {
		t.Fatal(err)
	}
	onHost := begin(t, host, exec.Command(bin+"/attacker", "try", "waits", host))
	inGuest := begin(t, another, sessionctl("run", "attacked", "--", guestBin+"/attacker", "try", "waits", another))
	inWeak := begin(t, "weakling", exec.Command(bin+"/attacker", "weak", planned, stage, "", "waits", "weakling"))

	args := func(v victim, extra ...string) []string {
		return append([]string{"list", jsonOf([]victim{onHost, v})}, extra...)
	}
	intact := results(t, byCarelessKeeper(t, sessionctl(append([]string{"run", "attacked", "--", guestBin + "/attacker", "try"}, args(inGuest)...)...)))
	prepared := results(t, inPrepared(t, p.name, args(inGuest)))
	careless := results(t, byCarelessKeeper(t, exec.Command(bin+"/attacker", append([]string{"try"}, args(inWeak, keeper)...)...)))
	weak := map[string]map[string]result{}
	for _, kept := range append([]rule{{}}, rules...) {
		out, err := exec.Command(bin+"/attacker", append([]string{"weak", planned, stage, kept.name}, args(inWeak)...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("with %q alone: %v\n%s", kept.name, err, out)
		}
		weak[kept.name] = results(t, string(out))
	}
	shown := 0
	for _, a := range denied() {
		is, tried := intact[a.name]
		open := weak[""][a.name]
		if slices.Equal(a.by, []string{keeper}) {
			open = careless[a.name]
		}
		switch {
		case !tried:
			t.Errorf("%s: was not tried", a.name)
		case is.Through:
			t.Errorf("%s: got through: %s", a.name, is.How)
		case prepared[a.name].Name == "" || prepared[a.name].Through:
			t.Errorf("%s: got through, or was not tried, in a session that was prepared: %s", a.name, prepared[a.name].How)
		case !open.Through && a.rare:
			t.Logf("%s: is denied on this machine, whatever the session: %s", a.name, open.How)
		case !open.Through:
			t.Errorf("%s: is denied where nothing is to deny it, and proves nothing: %s", a.name, open.How)
		}
		if open.Through {
			shown++
		}
		var alone []string
		for _, r := range rules {
			if !weak[r.name][a.name].Through {
				alone = append(alone, r.name)
			}
		}
		for _, by := range a.by {
			if by != keeper && !slices.Contains(alone, by) {
				t.Errorf("%s: %q alone does not deny it, these do: %q", a.name, by, alone)
			}
		}
		t.Logf("%s: denied by %s (%s)", a.name, strings.Join(a.by, ", "), is.How)
	}
	t.Logf("%d attacks, %d of them shown to get through where nothing denies them", len(denied()), shown)
	if least := len(denied()) - len(rare); shown < least {
		t.Errorf("only %d are shown to get through somewhere, want %d", shown, least)
	}
}

// inPrepared has the list tried in a session that was made before, which a guest joins.
func inPrepared(t *testing.T, profile string, list []string) string {
	t.Helper()
	pool := sessionctl("guest", "pool", "--keep", "1", profile)
	pool.Stderr = os.Stderr
	if err := pool.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = pool.Process.Signal(syscall.SIGTERM)
		_ = pool.Wait()
	})
	var out, who bytes.Buffer
	// The pool has it a moment after it is listed.
	eventually(t, "a guest gets a session that is prepared", func() bool {
		all := listed(t)
		out.Reset()
		who.Reset()
		guest := sessionctl(append([]string{"run", profile, "--", "/bin/sh", "-c", `id -u >&2; exec "$0" "$@"`, guestBin + "/attacker", "try"}, list...)...)
		guest.Stdout, guest.Stderr = &out, &who
		if err := guest.Run(); err != nil {
			t.Fatalf("%v: %s", err, &who)
		}
		return slices.Contains(all, listedGuest{"guest-" + strings.TrimSpace(who.String()), "waiting"})
	})
	return out.String()
}

func jsonOf(all []victim) string {
	b, _ := json.Marshal(all)
	return string(b)
}

type result struct {
	Name    string
	Through bool
	How     string
}

func results(t *testing.T, said string) map[string]result {
	t.Helper()
	all := map[string]result{}
	for line := range strings.Lines(said) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all[r.Name] = r
	}
	return all
}

// programs makes those that are somebody else's on the host: setuid root, and with a
// capability.
func programs(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(bin + "/attacker")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"guest-setuid", "guest-capable"} {
		at := filepath.Join(bin, name)
		if err := os.WriteFile(at, b, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(at) })
	}
	if err := os.Chmod(bin+"/guest-setuid", 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	// cap_dac_read_search, permitted and effective (vfs_cap_data in linux/capability.h, revision 2).
	if err := unix.Setxattr(bin+"/guest-capable", "security.capability", []byte("\x01\x00\x00\x02\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0); err != nil {
		t.Fatal(err)
	}
}

// tryList tries the list in a session and prints what came of it, a line of JSON for each.
// Further arguments name the rule of which alone attacks are tried.
func tryList(args []string) error {
	runtime.LockOSThread()
	var all []victim
	if err := json.Unmarshal([]byte(args[0]), &all); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, a := range denied() {
		if a.do == nil || len(args) > 1 && !slices.Contains(a.by, args[1]) {
			continue
		}
		r := result{Name: a.name, How: "nothing to be had"}
		if err := a.do(all); err != nil {
			r.Through, r.How = errors.As(err, new(broke)), err.Error()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	if len(args) > 1 {
		return nil
	}
	// Last: where its tries get through the session is no longer what it was.
	said, err := exec.Command(guestBin+"/ninefold-probe", strconv.Itoa(os.Getuid())).Output()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		return err
	}
	for line := range strings.Lines(string(said)) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 3 && f[0] != "writable" {
			_ = out.Encode(result{f[0], f[1] != "held", f[2]})
		}
	}
	return nil
}

// weak runs a try in a session of a guest's plan without the rules but one.
func weak(planned, stage, kept string, try ...string) error {
	text, err := os.ReadFile(planned)
	if err != nil {
		return err
	}
	p, err := weakened(text, stage, kept)
	if err != nil {
		return err
	}
	if try[0] == "waits" { // it is somebody else
		uid := p.Ops[slices.IndexFunc(p.Ops, func(op plan.Op) bool { _, ok := op.(plan.Identity); return ok })].(plan.Identity).UID
		p = p.ForGuest(uid, uid+1)
	}
	status, err := namespaces.Run(context.Background(), p, namespaces.Command{
		Argv: append([]string{guestBin + "/attacker", "try"}, try...), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err == nil && status.Code != 0 {
		err = fmt.Errorf("it ended with %d", status.Code)
	}
	return err
}
