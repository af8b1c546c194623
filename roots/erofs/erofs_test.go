package erofs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	other "github.com/erofs/go-erofs"
)

// tree builds nodes for the tests.
type tree struct{ nodes []Node }

func newTree() *tree {
	return &tree{nodes: []Node{{Link: None, Mode: Dir | 0o755, MTime: 7}}}
}

func (t *tree) add(parent int, n Node) int {
	n.Parent = int32(parent)
	if n.Link == 0 {
		n.Link = None
	}
	t.nodes = append(t.nodes, n)
	return len(t.nodes) - 1
}

func sample() *tree {
	t := newTree()
	t.add(0, Node{Name: "!before the dots", Mode: Regular | 0o600})
	d := t.add(0, Node{Name: "dir", Mode: Dir | 0o1777, UID: 70000, GID: 80000, MTime: 1 << 33})
	for i := range 900 {
		t.add(d, Node{Name: fmt.Sprintf("%05d-%s", i, strings.Repeat("n", i%240)), Mode: Regular | 0o644, Size: int64(i)})
	}
	deep := d
	for range 60 {
		deep = t.add(deep, Node{Name: "z", Mode: Dir | 0o700})
	}
	f := t.add(0, Node{Name: "file", Mode: Regular | 0o4755, Size: 5 << 40, MTime: 12, Xattrs: []Xattr{
		{"security.capability", "\x01\x00\x00\x02"}, {"trusted.overlay.metacopy", ""}, {"user.big", strings.Repeat("v", 5000)}}})
	t.add(0, Node{Name: "link", Link: int32(f)})
	t.add(0, Node{Name: "odd\xff\n\"", Mode: Fifo | 0o600})
	t.add(0, Node{Name: "sym-long", Mode: Symlink | 0o777, Target: strings.Repeat("t", maxTarget)})
	t.add(0, Node{Name: "sym-short", Mode: Symlink | 0o777, Target: "../x"})
	t.add(0, Node{Name: "tty", Mode: Char | 0o620, Major: 0xabc, Minor: 0x12345})
	return t
}

// TestAnotherReader reads an image back with an implementation that is not ours.
func TestAnotherReader(t *testing.T) {
	tr := sample()
	img, err := Build(tr.nodes)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, tr.nodes, img)
}

func compare(t *testing.T, nodes []Node, img []byte) {
	t.Helper()
	fsys, err := other.Open(bytes.NewReader(img))
	if err != nil {
		t.Fatal(err)
	}
	paths := make([]string, len(nodes))
	want := map[string]int{}
	for i := range nodes {
		if i > 0 {
			paths[i] = strings.TrimPrefix(paths[nodes[i].Parent]+"/"+nodes[i].Name, "/")
		} else {
			paths[i] = ""
		}
		want[paths[i]] = i
	}
	inos := map[int]int64{}
	seen := 0
	var walk func(p string)
	walk = func(p string) {
		i, ok := want[p]
		if !ok {
			t.Fatalf("%q is in the image and should not be", p)
		}
		seen++
		open := p
		if p == "" {
			open = "."
		}
		info, err := fs.Lstat(fsys, open)
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		st := info.Sys().(*other.Stat)
		n, src := nodes[i], i
		if n.Link != None {
			src = int(n.Link)
			n = nodes[n.Link]
		}
		if prev, ok := inos[src]; ok && prev != st.Ino {
			t.Errorf("%q: inode %d, its first name has %d", p, st.Ino, prev)
		}
		inos[src] = st.Ino
		if st.UID != n.UID || st.GID != n.GID || int64(st.Mtime) != n.MTime || uint32(info.Mode().Perm()) != n.Mode&0o777 {
			t.Errorf("%q: read %+v, wrote %+v", p, st, n)
		}
		if n.Mode&TypeMask == Regular && info.Size() != n.Size {
			t.Errorf("%q: size %d, want %d", p, info.Size(), n.Size)
		}
		for _, x := range n.Xattrs {
			if v, ok := st.Xattrs[x.Name]; !ok || v != x.Value {
				t.Errorf("%q: attribute %q is %q, want %q", p, x.Name, v, x.Value)
			}
		}
		if n.Mode&TypeMask == Symlink {
			if got, err := fs.ReadLink(fsys, open); err != nil || got != n.Target {
				t.Errorf("%q: points to %q (%v), want %q", p, got, err, n.Target)
			}
		}
		if n.Mode&TypeMask != Dir {
			return
		}
		if !info.IsDir() {
			t.Fatalf("%q: not a directory", p)
		}
		entries, err := fs.ReadDir(fsys, open)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			walk(strings.TrimPrefix(p+"/"+e.Name(), "/"))
		}
	}
	walk("")
	if seen != len(nodes) {
		t.Errorf("read %d names, wrote %d", seen, len(nodes))
	}
}

func TestSameNodesSameBytes(t *testing.T) {
	a, err := Build(sample().nodes)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Build(sample().nodes)
	if !bytes.Equal(a, b) {
		t.Error("two builds of the same nodes differ")
	}
}

func TestCheckFindsOneBit(t *testing.T) {
	img, err := Build(sample().nodes)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(bytes.NewReader(img)); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		bit := rng.IntN(len(img) * 8)
		bad := bytes.Clone(img)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := Check(bytes.NewReader(bad)); !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	for _, cut := range []int{0, 100, 4096, len(img) - 1} {
		if err := Check(bytes.NewReader(img[:cut])); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", cut, err)
		}
	}
}

func TestRefusesBadNodes(t *testing.T) {
	for name, tc := range map[string]struct {
		n    Node
		want string
	}{
		"slash":      {Node{Name: "a/b", Link: None, Mode: Regular}, "slash"},
		"dots":       {Node{Name: "..", Link: None, Mode: Regular}, "not a file name"},
		"long":       {Node{Name: strings.Repeat("x", 256), Link: None, Mode: Regular}, "256 bytes"},
		"no target":  {Node{Name: "a", Link: None, Mode: Symlink}, "link text"},
		"socket":     {Node{Name: "a", Link: None, Mode: 0o140000}, "unknown file type"},
		"own parent": {Node{Name: "a", Link: None, Mode: Regular, Parent: 1}, "parent"},
		"dir link":   {Node{Name: "a", Link: 0}, "links to"},
		"xattr":      {Node{Name: "a", Link: None, Mode: Regular, Xattrs: []Xattr{{"system.nfs4_acl", "x"}}}, "namespace"},
	} {
		_, err := Build([]Node{{Link: None, Mode: Dir}, tc.n})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unsorted := newTree()
	unsorted.add(0, Node{Name: "b", Mode: Regular})
	unsorted.add(0, Node{Name: "a", Mode: Regular})
	if _, err := Build(unsorted.nodes); err == nil {
		t.Error("names out of order were taken")
	}
}

// FuzzBuild makes a tree of the input's shape and reads it back with the other reader.
func FuzzBuild(f *testing.F) {
	f.Add([]byte{0, 3, 200, 1, 1, 9, 2, 40, 77, 3, 5, 5})
	f.Add(bytes.Repeat([]byte{1, 250, 3}, 90))
	f.Fuzz(func(t *testing.T, shape []byte) {
		if len(shape) > 3000 {
			return
		}
		tr := newTree()
		dirs := []int{0}
		last := map[int]string{}
		for len(shape) >= 3 {
			op, size, pick := shape[0], int(shape[1]), int(shape[2])
			shape = shape[3:]
			parent := dirs[pick%len(dirs)]
			name := fmt.Sprintf("%06d%s", len(tr.nodes), strings.Repeat("q", size*249/255))
			if last[parent] >= name {
				continue
			}
			last[parent] = name
			n := Node{Name: name, MTime: int64(size), UID: uint32(pick)}
			switch op % 5 {
			case 0:
				n.Mode = Dir | 0o755
				dirs = append(dirs, tr.add(parent, n))
				continue
			case 1:
				n.Mode, n.Size = Regular|0o644, int64(size)<<(pick%30)
			case 2:
				n.Mode, n.Target = Symlink|0o777, strings.Repeat("/t", size*8+1)
			case 3:
				n.Mode = Regular | 0o755
				n.Xattrs = []Xattr{{"user.a", strings.Repeat("v", size*pick%60000)}, {"user.b", ""}}
			case 4:
				first := slices.IndexFunc(tr.nodes, func(n Node) bool { return n.Mode&TypeMask == Regular })
				if first < 0 {
					continue
				}
				n.Link = int32(first)
			}
			tr.add(parent, n)
		}
		img, err := Build(tr.nodes)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(bytes.NewReader(img)); err != nil {
			t.Fatal(err)
		}
		compare(t, tr.nodes, img)
	})
}
