package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/session"
)

// ctl runs a command with files as standard streams.
func ctl(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	code = Main(t.Context(), args, session.Stdio{In: open("in"), Out: open("out"), Err: open("err")})
	out, _ := os.ReadFile(filepath.Join(dir, "out"))
	errs, _ := os.ReadFile(filepath.Join(dir, "err"))
	return code, string(out), string(errs)
}

// Without a daemon a listing is empty, everything else says that it is not there.
func TestWithoutDaemon(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "none"))
	code, out, errs := ctl(t, "list", "--json")
	if code != 0 || out != "{\n  \"views\": [],\n  \"sessions\": []\n}\n" || !strings.Contains(errs, "sessiond does not run") {
		t.Errorf("list: %d %q %q", code, out, errs)
	}
	for _, args := range [][]string{{"show", "1000-abcdefgh"}, {"end", "c1"}, {"enter", "c1"}, {"ns", "1000-abcdefgh"}} {
		if code, out, errs := ctl(t, args...); code != int(exit.NoDaemon) || out != "" || !strings.Contains(errs, "hint: ") {
			t.Errorf("%q: %d %q %q", args, code, out, errs)
		}
	}
	code, out, _ = ctl(t, "status")
	if code != 0 || !strings.Contains(out, "sessiond  sessiond does not run") {
		t.Errorf("status: %d %q", code, out)
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, args := range [][]string{{"show"}, {"show", "a", "b"}, {"end"}, {"enter"}, {"enter", "v", "-x"}, {"list", "x"}, {"status", "x"},
		{"logs", "--", "-x"}, {"logs", "1000-abc|.*"}, {"doctor", "--profile", "host"}, {insideCommand, "1"}} {
		if code, _, errs := ctl(t, args...); code != int(exit.Usage) {
			t.Errorf("%q: %d %q", args, code, errs)
		}
	}
}

// What is to be entered is never this place instead.
func TestInsideLooksWhereItIs(t *testing.T) {
	for _, ns := range []string{"1", "", "x"} {
		var e *exit.Error
		if err := inside([]string{ns, "--", "true"}); !errors.As(err, &e) || e.Code != exit.NoSession {
			t.Errorf("namespace %q: %v", ns, err)
		}
	}
}

func TestJournalArguments(t *testing.T) {
	argv, err := journal(true, false, []string{"1000-abcdefgh"})
	if err != nil || !slices.Contains(argv, "--follow") || !slices.Contains(argv, `--grep=1000-abcdefgh\b`) ||
		!slices.Contains(argv, "UNIT=ninefold-view-1000-abcdefgh.scope") {
		t.Errorf("%q %v", argv, err)
	}
	for _, bad := range []string{"", "-", "a", "1000-a b", "1000-a\n", "1000-.*"} {
		if _, err := journal(false, false, []string{bad}); err == nil {
			t.Errorf("took %q", bad)
		}
	}
}

func TestPlainKeepsTerminalsSafe(t *testing.T) {
	if got, want := plain("a\x1b[2Jb\u009bc\n"), "a?[2Jb?c?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
