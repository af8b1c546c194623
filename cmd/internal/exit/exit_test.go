package exit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

var errBusy = errors.New("store is in use")

type hinted struct{}

func (hinted) Error() string { return "overlay: too many levels" }
func (hinted) Hint() string  { return "put the store on another file system" }

func TestOf(t *testing.T) {
	rules := []Rule{{Is: errBusy, Code: Busy, Hint: "wait for it"}}
	for _, c := range []struct {
		err  error
		code Code
		hint string
	}{
		{nil, OK, ""},
		{errors.New("odd"), Failed, ""},
		{fmt.Errorf("open store: %w", errBusy), Busy, "wait for it"},
		{fmt.Errorf("read: %w", &os.PathError{Op: "open", Path: "/x", Err: unix.EACCES}), NotPermitted, "root"},
		{fmt.Errorf("make: %w", &kernel.Error{Op: "unshare", Err: unix.EPERM}), NotPermitted, "container"},
		{fmt.Errorf("read: %w", fs.ErrNotExist), NotFound, ""},
		{fmt.Errorf("read: %w", &os.PathError{Op: "open", Path: "/file/x", Err: unix.ENOTDIR}), NotFound, "no directory"},
		{fmt.Errorf("path: %w", fs.ErrInvalid), Usage, ""},
		{fmt.Errorf("write: %w", unix.ENOSPC), Failed, "make room"},
		{fmt.Errorf("write: %w", unix.EROFS), NotPermitted, "--state"},
		{fmt.Errorf("mount: %w", hinted{}), Failed, "another file system"},
		{fmt.Errorf("run: %w", &Error{Code: NoSession, Err: fmt.Errorf("mount: %w", fs.ErrPermission)}), NoSession, ""},
		{fmt.Errorf("build: %w", context.Canceled), 130, ""},
		{Usagef("see --help", "unknown flag %s", "-z"), Usage, "see --help"},
	} {
		code, hint := Of(c.err, rules)
		if code != c.code || !strings.Contains(hint, c.hint) || (c.hint == "") != (hint == "") {
			t.Errorf("Of(%v) = %d, %q; want %d and a hint with %q", c.err, code, hint, c.code, c.hint)
		}
	}
}

func TestTellIndentsFurtherLines(t *testing.T) {
	var b strings.Builder
	Tell(&b, "sessionctl", errors.New("check desktop:\na.toml:1: x\na.toml:2: y\n"), "see docs/profiles.md")
	want := "sessionctl: check desktop:\n  a.toml:1: x\n  a.toml:2: y\nhint: see docs/profiles.md\n"
	if b.String() != want {
		t.Fatalf("got %q, want %q", b.String(), want)
	}
}
