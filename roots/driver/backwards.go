package driver

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/roots/image"
)

// backwardsOrder lists the entries in an order in which they can be made:
// directories before what is in them, hard links after the name that they link
// to, and the names of one directory backwards where the file system of root
// lists them in the order in which they came.
func backwardsOrder(t *image.Tree, root *os.File) ([]int, error) {
	sign, err := listing(root.Name())
	if err != nil {
		return nil, err
	}
	list := make([]int, len(t.Entries))
	for i := range list {
		list[i] = i
	}
	slices.SortFunc(list, func(i, j int) int {
		a, b := &t.Entries[i], &t.Entries[j]
		return cmp.Or(
			cmp.Compare(min(len(a.Link), 1), min(len(b.Link), 1)),
			cmp.Compare(strings.Count(a.Path, "/"), strings.Count(b.Path, "/")),
			sign*strings.Compare(a.Path, b.Path))
	})
	return list, nil
}

// listing tries how the file system lists a directory whose names were made
// backwards: 1 if it sorts them so, as one does that lists the newest first, and
// -1 otherwise.
func listing(dir string) (sign int, err error) {
	try, err := os.MkdirTemp(dir, "")
	if err != nil {
		return 0, fmt.Errorf("try how names are listed: %w", err)
	}
	defer os.RemoveAll(try)
	const names = "hgfedcba"
	for i := range names {
		if err := os.WriteFile(filepath.Join(try, names[i:i+1]), nil, 0o600); err != nil {
			return 0, fmt.Errorf("try how names are listed: %w", err)
		}
	}
	d, err := os.Open(try)
	if err != nil {
		return 0, fmt.Errorf("try how names are listed: %w", err)
	}
	defer d.Close()
	got, err := d.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("try how names are listed: %w", err)
	}
	if slices.IsSorted(got) {
		return 1, nil
	}
	return -1, nil
}
