package contexts

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"ninefold/roots/contexts"
)

// GoneError names packages of a context that no archive has any more, or never
// had: those that were installed from a file.
type GoneError struct{ Packages []string }

func (e *GoneError) Error() string {
	return "no archive has " + strings.Join(e.Packages, ", ")
}

// Unwrap makes it an ErrReplay.
func (e *GoneError) Unwrap() error { return ErrReplay }

// without leaves packages out of requests. One that was not asked for is an error:
// it is misspelt.
func without(q contexts.Requests, names []string) (contexts.Requests, error) {
	for _, name := range names {
		n := len(q.Install)
		q.Install = slices.DeleteFunc(slices.Clone(q.Install), func(p string) bool { return p == name || unqualified(p) == name })
		if len(q.Install) == n {
			return q, fmt.Errorf("%w: %s is none of the packages that the context asks for (%s)", ErrReplay, name, strings.Join(q.Install, ", "))
		}
	}
	return q, nil
}

// unqualified is the name of a package without its architecture.
func unqualified(name string) string {
	name, _, _ = strings.Cut(name, ":")
	return name
}

// obtainable reports those packages that are to be installed and that apt cannot
// have from anywhere, as a GoneError.
func (r *root) obtainable(ctx context.Context, install []string) error {
	wanted := slices.DeleteFunc(slices.Clone(install), func(name string) bool { return strings.HasSuffix(name, "-") })
	if len(wanted) == 0 {
		return nil
	}
	out, err := r.output(ctx, append([]string{"env", "LC_ALL=C.UTF-8", "apt-cache", "policy", "--"}, wanted...))
	if err != nil {
		return err
	}
	has := candidates(out)
	var gone []string
	for _, name := range wanted {
		if !has[name] && !has[unqualified(name)] {
			gone = append(gone, unqualified(name))
		}
	}
	if len(gone) > 0 {
		return &GoneError{gone}
	}
	return nil
}

// candidates reads what apt-cache policy says: the packages that have a version to
// install, by the names that it gives them.
func candidates(text string) map[string]bool {
	has, name := map[string]bool{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if n, ok := strings.CutSuffix(line, ":"); ok && !strings.HasPrefix(line, " ") {
			name = n
		} else if v, ok := strings.CutPrefix(line, "  Candidate: "); ok && v != "(none)" {
			has[name] = true
		}
	}
	return has
}

// maxOutput bounds what is read of a command's output in bytes.
const maxOutput = 16 << 20

// output runs a command in a live root and returns what it writes.
func (r *root) output(ctx context.Context, argv []string) (string, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer from.Close()
	text := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(from, maxOutput)) // what is cut off is missed
		_, _ = io.Copy(io.Discard, from)
		text <- b
	}()
	status, err := r.Run(ctx, Request{Command: argv, Stdout: to})
	to.Close()
	b := <-text
	if err == nil && status.Code != 0 {
		err = fmt.Errorf("%w: %s ended with status %d", ErrReplay, strings.Join(argv, " "), status.Code)
	}
	return string(b), err
}
