package recipefile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"ninefold/internal/tomlfile"
)

// Sentinel errors of git references.
var (
	ErrReference = errors.New("not a git reference")
	ErrGit       = errors.New("git failed")
)

// Reference names a file in a git repository at a commit. The commit's hash
// is what makes it safe to fetch over any transport: git refuses objects that
// do not have the hash they were asked by.
type Reference struct {
	URL    string
	Commit string // 40 lower-case hex digits
	Path   string // slash-separated, relative
}

// DefaultPath is the file taken when a reference names none.
const DefaultPath = "recipe.toml"

var referenceRule = regexp.MustCompile(`^git\+(.+)@([^@:/]+)(?::(.*))?$`)

// ParseReference reads git+URL@COMMIT[:path]. Only full hashes and the
// protocols https, ssh and file are taken: a branch or a tag can move.
func ParseReference(text string) (Reference, error) {
	bad := func(format string, args ...any) (Reference, error) {
		return Reference{}, fmt.Errorf("%w: %q: %s", ErrReference, text, fmt.Sprintf(format, args...))
	}
	m := referenceRule.FindStringSubmatch(text)
	if m == nil {
		return bad("write git+URL@COMMIT or git+URL@COMMIT:path")
	}
	ref := Reference{URL: m[1], Commit: m[2], Path: m[3]}
	if ref.Path == "" {
		ref.Path = DefaultPath
	}
	if !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(ref.Commit) {
		return bad("%q is not a full commit hash of 40 hex digits", ref.Commit)
	}
	u, err := url.Parse(ref.URL)
	if err != nil {
		return bad("the URL is malformed")
	}
	switch u.Scheme {
	case "https", "ssh":
		if u.Host == "" || strings.HasPrefix(u.Host, "-") {
			return bad("the URL names no host")
		}
	case "file":
		if u.Host != "" || !path.IsAbs(u.Path) {
			return bad("a file URL has to be file:///absolute/path")
		}
	default:
		return bad("the protocol has to be https, ssh or file")
	}
	if path.IsAbs(ref.Path) || path.Clean(ref.Path) != ref.Path || strings.HasPrefix(ref.Path, "../") || ref.Path == ".." || strings.ContainsAny(ref.Path, "\x00\n") {
		return bad("%q is not a relative, clean path", ref.Path)
	}
	return ref, nil
}

// Git fetches the file that ref names with the machine's git, into a
// temporary directory that is gone when it returns. The repository's content
// is never checked out, so neither its hooks, filters, attributes nor
// submodules are looked at.
func Git(ctx context.Context, ref Reference) ([]byte, error) {
	dir, err := os.MkdirTemp("", "ninefold-git-")
	if err != nil {
		return nil, fmt.Errorf("fetch recipe: %w", err)
	}
	defer os.RemoveAll(dir)
	g := git{dir: dir}
	if _, err := g.run(ctx, 0, "init", "--quiet", "--bare", "--template=", "--", dir); err != nil {
		return nil, err
	}
	if _, err := g.run(ctx, 0, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--", ref.URL, ref.Commit); err != nil {
		return nil, fmt.Errorf("fetch %s at commit %s: %w", ref.URL, ref.Commit, err)
	}
	object := ref.Commit + ":" + ref.Path
	size, err := g.run(ctx, 64, "cat-file", "-s", "--", object)
	if err != nil {
		return nil, fmt.Errorf("%s at commit %s has no file %s: %w", ref.URL, ref.Commit, ref.Path, err)
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(string(size)), 10, 64); err != nil || n > tomlfile.MaxSize {
		return nil, fmt.Errorf("%s of %s: %w: at most %d bytes are read", ref.Path, ref.URL, tomlfile.ErrTooLarge, tomlfile.MaxSize)
	}
	data, err := g.run(ctx, tomlfile.MaxSize, "cat-file", "blob", "--", object)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", ref.Path, ref.URL, err)
	}
	return data, nil
}

type git struct{ dir string }

// environment holds what git needs and nothing that could change what it
// does. Proxies are let through, or a machine behind one could fetch nothing.
func (g git) environment() []string {
	env := []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=" + g.dir, "GIT_DIR=" + g.dir,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_ALLOW_PROTOCOL=https:ssh:file", "GIT_SSH_COMMAND=ssh -oBatchMode=yes",
	}
	for _, k := range []string{"http_proxy", "https_proxy", "all_proxy", "no_proxy"} {
		if v := os.Getenv(k); v != "" {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// run returns what git wrote, at most limit bytes. When ctx ends the whole
// process group goes, with the transport helpers in it.
func (g git) run(ctx context.Context, limit int, args ...string) ([]byte, error) {
	pre := []string{"-c", "core.hooksPath=/dev/null", "-c", "transfer.fsckObjects=true", "-c", "protocol.version=2",
		"-c", "fetch.recurseSubmodules=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false"}
	cmd := exec.CommandContext(ctx, "git", append(pre, args...)...)
	cmd.Env = g.environment()
	cmd.Dir = g.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out := &capped{limit: limit}
	errs := &capped{limit: 4096}
	cmd.Stdout, cmd.Stderr = out, errs
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%w: the program is not installed; install git", ErrGit)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrGit, firstLine(errs.Bytes(), err))
	}
	return out.Bytes(), nil
}

func firstLine(text []byte, err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if line == "" {
		return err.Error()
	}
	return line
}

// capped keeps the first limit bytes and drops the rest.
type capped struct {
	bytes.Buffer
	limit int
}

func (c *capped) Write(p []byte) (int, error) {
	if room := c.limit - c.Len(); room > 0 {
		c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
