package contexts

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/threeway"
	"ninefold/namespaces/upper"
)

// Conflict is a file that both the context and the machine changed. The machine's
// is in place, and the context's is kept.
type Conflict struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// Carried says what became of the files of a context.
type Carried struct {
	// Files are how many were carried over, and Merged those of them that were
	// merged with what the machine had changed.
	Files     int        `json:"files"`
	Merged    []string   `json:"merged"`
	Conflicts []Conflict `json:"conflicts"`
	// LeftOut are sockets, pipes and devices, which are not carried over.
	LeftOut []string `json:"left_out"`
}

// Carrying says what is carried over, and where its conflicts go.
type Carrying struct {
	// From is the layer, which nobody writes to.
	From string
	// To is the layer that keeps the context's side of conflicts. With "" nothing is
	// written, and only said what would be.
	To string
	// Want chooses files by their paths; nil takes all.
	Want func(path string) bool
	// Edited is what Store.Edited says of From; nil has the files read on the way.
	Edited map[string]bool
}

// Carry carries what was changed by hand in a layer over to another root: an open
// directory whose ids are first more than those on disk. Files that packages brought
// are left to the package manager.
func (s *Store) Carry(ctx context.Context, r Record, root *os.File, first uint32, what Carrying) (*Carried, error) {
	c := &carrier{dir: s.LayerDir(r, what.From), to: &target{int(root.Fd()), first}, edited: what.Edited,
		out: &Carried{Merged: []string{}, Conflicts: []Conflict{}, LeftOut: []string{}}}
	if what.To != "" {
		c.keep = filepath.Join(s.LayerDir(r, what.To), conflictsDir)
	}
	var err error
	if c.packaged, err = packagedIn(c.dir); err != nil {
		return nil, err
	}
	if c.dirs, err = directoriesOf(c.dir); err != nil {
		return nil, err
	}
	err = walkLayer(ctx, c.dir, func(e *upper.Entry) error {
		name := e.Path()
		if isOwn(name) || Ours[name] || what.Want != nil && !what.Want(name) || projected(e) {
			return nil
		}
		return c.entry(e, name)
	})
	return c.out, err
}

// walkLayer calls f for everything in the layer in dir.
func walkLayer(ctx context.Context, dir string, f func(*upper.Entry) error) error {
	layers, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer layers.Close()
	return upper.Walk(ctx, layers, maxFiles, f)
}

// Ours are the files that Ninefold writes into each context.
var Ours = map[string]bool{"/usr/sbin/policy-rc.d": true, "/etc/apt/apt.conf.d/00ninefold-context": true}

type carrier struct {
	dir  string // the layer
	to   *target
	keep string // where the context's side of conflicts goes; "" writes nothing at all
	packaged
	edited map[string]bool
	dirs   map[string]directory
	out    *Carried
}

// isEdited reports whether a file of a package is another one by now.
func (c *carrier) isEdited(e *upper.Entry, name string) bool {
	if c.edited != nil {
		return c.edited[name]
	}
	return edited(c.sums, e)
}

// entry carries one entry of the layer over.
func (c *carrier) entry(e *upper.Entry, name string) error {
	packaged := c.owners[merged(name)] != ""
	if packaged && !c.isEdited(e, name) {
		return nil
	}
	theirs, err := c.to.look(name)
	if errors.Is(err, errOnTheWay) {
		return c.conflict(e, name, "a directory on the way is a link, or no directory, on the machine now")
	}
	if err != nil {
		return err
	}
	if e.Whiteout() {
		return c.removed(e, name, theirs)
	}
	mine, err := nodeAt(int(e.Parent.Fd()), e.Base())
	if err != nil || !mine.exists {
		return err
	}
	switch mine.kind() {
	case unix.S_IFDIR:
		return c.directory(e, name, mine, theirs)
	case unix.S_IFREG, unix.S_IFLNK:
	default:
		c.out.LeftOut = append(c.out.LeftOut, name)
		return nil
	}
	old, known := c.original(name)
	if packaged {
		// dpkg knows the sum of what the package brought.
		known = true
		if old = (node{}); theirs.exists && theirs.whole && sum(theirs.text) == c.sums[merged(name)] {
			old = theirs
		}
	}
	switch {
	case mine.sameContent(theirs):
		if mine.sameOwner(theirs) {
			return nil
		}
		return c.carry(e, name, mine)
	case !theirs.exists && known && old.exists:
		return c.conflict(e, name, "the machine has removed it")
	case !theirs.exists, known && old.sameContent(theirs):
		return c.carry(e, name, mine)
	case theirs.kind() == unix.S_IFDIR:
		return c.conflict(e, name, "it is a directory on the machine now")
	case known && old.sameContent(mine):
		return nil // it had only been written anew
	case mine.kind() != unix.S_IFREG || theirs.kind() != unix.S_IFREG || !mine.whole || !theirs.whole:
		return c.conflict(e, name, "the machine has changed it too")
	}
	text, ok := "", false
	if known && old.whole {
		var b []byte
		b, ok = threeway.Merge([]byte(old.text), []byte(mine.text), []byte(theirs.text))
		text = string(b)
	}
	if !ok && slices.Contains(accounts, name) {
		text, ok = mergeAccounts(old.text, mine.text, theirs.text, name == "/etc/passwd" || name == "/etc/group")
	}
	if !ok {
		return c.conflict(e, name, "the machine has changed it too")
	}
	c.out.Merged = append(c.out.Merged, name)
	mine.text = text
	return c.carry(e, name, mine)
}

// carry puts a file in its place.
func (c *carrier) carry(e *upper.Entry, name string, n node) error {
	c.out.Files++
	if c.keep == "" {
		return nil
	}
	var content io.Reader
	if n.kind() == unix.S_IFREG && !n.whole {
		f, err := openAt(int(e.Parent.Fd()), e.Base())
		if err != nil {
			return err
		}
		defer f.Close()
		content = f
	}
	return c.to.put(name, n, content)
}

func (c *carrier) directory(e *upper.Entry, name string, mine, theirs node) error {
	switch {
	case theirs.exists && theirs.kind() != unix.S_IFDIR:
		return c.conflict(e, name, "it is no directory on the machine")
	case theirs.exists && isOpaque(e):
		return c.conflict(e, name, "all of it was replaced in the context")
	case !theirs.exists:
		return c.carry(e, name, mine)
	}
	was, noted := c.dirs[name]
	switch {
	case mine.sameOwner(theirs), !noted, mine.sameOwner(was.node()):
		return nil // made by the way: what is in it counts
	case theirs.sameOwner(was.node()):
		return c.carry(e, name, mine)
	}
	return c.conflict(e, name, "owner or mode of the directory were changed on the machine too")
}

// removed removes what was removed in the context, unless the machine has made
// something else of it.
func (c *carrier) removed(e *upper.Entry, name string, theirs node) error {
	if !theirs.exists {
		return nil
	}
	old, known := c.original(name)
	switch {
	case theirs.kind() == unix.S_IFDIR:
		return c.conflict(e, name, "it is a directory, which was removed in the context")
	case !known || !old.sameContent(theirs):
		return c.conflict(e, name, "it was removed in the context, and the machine may have changed it")
	}
	c.out.Files++
	if c.keep == "" {
		return nil
	}
	return c.to.remove(name)
}

// original is the machine's file as it was before the context changed it. What the
// machine did not have is known not to have been there.
func (c *carrier) original(name string) (n node, known bool) {
	at := filepath.Join(c.dir, Base, originals, name)
	n, err := nodeAt(unix.AT_FDCWD, at)
	return n, err == nil && n.exists
}

func sum(text string) string {
	s := md5.Sum([]byte(text))
	return hex.EncodeToString(s[:])
}

// accounts are files of lines that are known by their first field.
var accounts = []string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"}

// mergeAccounts merges such files line by line, wherever the lines stand. It is
// false when a line was changed in two ways, or, where the third field is an id,
// one would be two accounts'.
func mergeAccounts(old, mine, theirs string, numbered bool) (string, bool) {
	o, m, t := byName(old), byName(mine), byName(theirs)
	var out strings.Builder
	ids := map[string]string{}
	add := func(line string) bool {
		f := strings.Split(line, ":")
		out.WriteString(line + "\n")
		if !numbered || len(f) < 3 || f[2] == "" {
			return true
		}
		other, taken := ids[f[2]]
		ids[f[2]] = f[0]
		return !taken || other == f[0]
	}
	for line := range strings.Lines(theirs) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(line, ":")
		was, had := o[name]
		now, has := m[name]
		switch {
		case !had && !has, has && now == line, had && has && now == was:
		case had && was == line && !has:
			continue // removed in the context
		case had && was == line:
			line = now // changed in the context
		default:
			return "", false
		}
		if !add(line) {
			return "", false
		}
	}
	for line := range strings.Lines(mine) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(line, ":")
		if _, there := t[name]; there {
			continue
		}
		if was, had := o[name]; had {
			if was != line {
				return "", false // changed here, removed there
			}
			continue
		}
		if !add(line) {
			return "", false
		}
	}
	return out.String(), true
}

func byName(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(line, ":")
		out[name] = line
	}
	return out
}
