package contexts

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// accounts tells which accounts of the context are not as the machine has them: over
// the machine accounts are the machine's, and an image holds none of the files with
// them, passwords among these.
func (c *committer) accounts(dir, root string) error {
	for _, name := range accounts {
		theirs, err := text(filepath.Join(root, name))
		if err != nil {
			return err
		}
		at := inLayer(dir, name)
		if _, err := os.Lstat(at); errors.Is(err, fs.ErrNotExist) {
			continue // seen through the layer
		}
		mine, err := text(at)
		if err != nil {
			return err
		}
		was, is := byName(theirs), byName(mine)
		for _, account := range slices.Sorted(maps.Keys(is)) {
			if before, there := was[account]; !there {
				c.leave(name, "the new line of "+account)
			} else if before != is[account] {
				c.leave(name, "the changed line of "+account)
			}
		}
		for _, account := range slices.Sorted(maps.Keys(was)) {
			if _, there := is[account]; !there {
				c.leave(name, "that the line of "+account+" was removed")
			}
		}
	}
	return nil
}
