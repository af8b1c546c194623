package deb

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"ninefold/roots/pkg"
)

// cleanName turns a member name of a tar archive into a path as pkg.Entry has
// it; the root itself is "". A name that leads out of the root is refused
// rather than cleaned: whoever wrote it meant something else.
func cleanName(name string) (string, error) {
	s := strings.TrimPrefix(name, "./")
	s = strings.TrimSuffix(s, "/")
	if s == "" || s == "." {
		return "", nil
	}
	if strings.HasPrefix(s, "/") {
		return "", malformed("%s: the path is absolute", short(name))
	}
	if err := pkg.CheckPath(s); err != nil {
		return "", malformed("%s: %w", short(name), err)
	}
	return s, nil
}

// short quotes a path for a message.
func short(s string) string {
	const longest = 200
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	return strconv.Quote(s)
}

// merged maps a path to where the merged /usr has it.
func merged(p string) string {
	first, _, _ := strings.Cut(p, "/")
	if slices.Contains(pkg.UsrMerged, first) {
		return "usr/" + p
	}
	return p
}

// rebase keeps the meaning of a relative link target whose link moved from one
// path to another. A target that means the same from both places stays as it
// is written, and so does an absolute one.
func rebase(from, to, target string) string {
	if from == to || strings.HasPrefix(target, "/") {
		return target
	}
	was, is := merged(lexical(from, target)), merged(lexical(to, target))
	if was == is {
		return target
	}
	var up []string
	dir := strings.Split(path.Dir(to), "/")
	want := strings.Split(was, "/")
	for len(dir) > 0 && len(want) > 0 && dir[0] == want[0] {
		dir, want = dir[1:], want[1:]
	}
	for range dir {
		up = append(up, "..")
	}
	if s := strings.Join(append(up, want...), "/"); s != "" {
		return s
	}
	return "."
}

// lexical resolves a link target from the root, without looking at links on
// the way. ".." at the root stays there, as the kernel has it.
func lexical(link, target string) string {
	if !strings.HasPrefix(target, "/") {
		target = "/" + path.Dir(link) + "/" + target
	}
	return strings.TrimPrefix(path.Clean(target), "/")
}
