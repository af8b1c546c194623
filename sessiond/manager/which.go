package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Whence says where a path of a profile comes from.
type Whence struct {
	Path string `json:"path"`
	// Links are the symbolic links that Path led through.
	Links []string `json:"links,omitempty"`
	// From is the answer for people.
	From string `json:"from"`
	// Layer is "kept", "context", "host", or the image's name; Package is empty where no
	// package has the path.
	Layer   string `json:"layer"`
	Image   string `json:"image,omitempty"`
	Package string `json:"package,omitempty"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"` // of the content
}

// Which finds out which layer of a session of r.Profile a path comes from.
// What the session mounts elsewhere (the home, /dev, what is projected) lies
// over the layers and is not asked here: see Plan.
func (m *Manager) Which(ctx context.Context, r Request, name string) (*Whence, error) {
	if !strings.HasPrefix(name, "/") {
		return nil, fmt.Errorf("path %q: %w: it does not begin with /", name, fs.ErrInvalid)
	}
	p, err := m.prepare(ctx, r, false)
	if err != nil {
		return nil, err
	}
	defer p.release()
	l := &lookup{m: m, onHost: p.base.onHost, hidden: p.base.stack.Removed}
	if p.spec.Upper != nil && p.spec.Upper.Dir != "" {
		l.written = append(l.written, written{filepath.Join(p.spec.Upper.Dir, "upper"), "kept", "the kept layer of this user and profile"})
	}
	if c := p.base.context; c != nil {
		l.written = append(l.written, written{c.upper, "context", "the context " + c.record.Name})
		if c.pin != "" {
			l.written = append(l.written, written{c.pin, "context", "the machine as it was when the context " + c.record.Name + " was pinned"})
		}
	}
	if len(p.base.pieces) > 0 {
		s, err := m.Store()
		if err != nil {
			return nil, err
		}
		defer s.Close()
		if err := l.load(ctx, s, p.base.pieces); err != nil {
			return nil, err
		}
	}
	w := &Whence{Path: path.Clean(name), From: "every layer"}
	if err := l.find(w); err != nil {
		return nil, err
	}
	if w.Layer == "host" {
		if owner := hostPackage(ctx, w.Path); owner != "" {
			w.Package, w.From = owner, "the host, package "+owner
		}
	}
	return w, nil
}

// lookup walks a path through the layers, without mounting them.
type lookup struct {
	m       *Manager
	written []written     // directories, topmost first, over the trees
	trees   []*image.Tree // topmost first
	onHost  bool
	hidden  []string // of the host, by the images
}

// written is a layer that is a directory, with what it is called.
type written struct{ dir, layer, from string }

func (l *lookup) removed(name string) bool {
	return slices.ContainsFunc(l.hidden, func(p string) bool { return name == p || strings.HasPrefix(name, p+"/") })
}

func (l *lookup) load(ctx context.Context, s *store.Store, pieces []piece) error {
	for _, p := range pieces {
		chain, err := s.Chain(p.Image)
		if err != nil {
			return err
		}
		built, err := s.Built(ctx, chain)
		if err != nil {
			return err
		}
		t, err := image.Flatten(built)
		if err != nil {
			return err
		}
		for i, c := range chain {
			if c.ID() != p.Above {
				continue
			}
			below, err := image.Flatten(built[:i+1])
			if err != nil {
				return err
			}
			t = t.Above(below, i+1)
		}
		l.trees = append(l.trees, t)
	}
	return nil
}

// at finds the topmost layer that has exactly this path. The target is that of
// a symbolic link.
func (l *lookup) at(name string, w *Whence) (target string, found bool) {
	*w = Whence{Path: w.Path, Links: w.Links}
	for _, d := range l.written {
		if st, err := os.Lstat(filepath.Join(d.dir, name)); err == nil {
			if st.Mode()&fs.ModeCharDevice != 0 {
				return "", false // a whiteout: deleted in the session
			}
			w.Layer, w.From = d.layer, d.from
			text, _ := os.Readlink(filepath.Join(d.dir, name))
			return text, true
		}
	}
	for _, t := range l.trees {
		e, owner, ok := t.Lookup(name)
		if !ok {
			continue
		}
		if image.IsWhiteout(e) {
			return "", false
		}
		if owner != nil {
			w.Layer, w.Image, w.Package, w.Version = owner.Image, owner.Image, owner.Package, owner.Version
			w.From = fmt.Sprintf("image %s, package %s", owner.Image, owner)
		} else {
			w.From = "a directory that packages of several layers share"
		}
		if e.Kind == pkg.File {
			w.Digest = e.Digest.String()
		}
		return e.Target, true
	}
	if !l.onHost || l.removed(name) {
		return "", false
	}
	if _, err := os.Lstat(name); err != nil {
		return "", false
	}
	w.Layer, w.From = "host", "the host"
	text, _ := os.Readlink(name)
	return text, true
}

// find follows the symbolic links of w.Path and says where its end comes from.
func (l *lookup) find(w *Whence) error {
	done, rest := "/", strings.TrimPrefix(w.Path, "/")
	for links := 0; rest != ""; {
		var first string
		first, rest, _ = strings.Cut(rest, "/")
		switch first {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		name := path.Join(done, first)
		target, found := l.at(name, w)
		if !found {
			return fmt.Errorf("%s: %w in this profile", name, fs.ErrNotExist)
		}
		if target == "" {
			done = name
			continue
		}
		if links++; links > 40 {
			return fmt.Errorf("%s: too many symbolic links", w.Path)
		}
		w.Links = append(w.Links, name+" -> "+target)
		if strings.HasPrefix(target, "/") {
			done = "/"
		}
		rest = target + "/" + rest
	}
	w.Path = done
	return nil
}

// hostPackage asks dpkg whose a path is; "" when nobody knows.
func hostPackage(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// Before the merge of / and /usr packages registered /bin and /lib.
	for _, n := range []string{name, strings.TrimPrefix(name, "/usr")} {
		cmd := exec.CommandContext(ctx, "/usr/bin/dpkg-query", "--search", "--", n)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
		out, err := cmd.Output()
		if err != nil {
			var missing *exec.Error
			if errors.As(err, &missing) {
				return ""
			}
			continue
		}
		if owner, _, ok := strings.Cut(string(out), ": "); ok && !strings.Contains(owner, "\n") {
			return owner
		}
	}
	return ""
}
