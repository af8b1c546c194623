package lock

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ninefold/roots/pkg"
)

func example() *Lock {
	return &Lock{
		Version: 1, Recipe: "base", RecipeHash: pkg.Digest{1}, Arch: "amd64",
		Source:  Source{Mirror: "http://m/debian", Suite: "trixie", Components: []string{"main"}, SignedBy: []string{"AB"}, Date: 5},
		Updates: []Source{{Suite: "trixie-security", Date: 9}},
		Packages: []Package{
			{Name: "bash", Version: "5.2<1", Arch: "amd64", URL: "pool/b.deb", Size: 1, SHA256: pkg.Digest{2}, Essential: true},
			{Name: "mawk", Version: "1", Arch: "amd64", URL: "pool/m.deb", Size: 1, SHA256: pkg.Digest{3}, Provides: "awk"},
		},
	}
}

func TestWriteThenRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base.lock")
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	for range 2 {
		if err := Write(path, example()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, example()) {
		t.Errorf("read %+v", got)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if got.Date() != 9 {
		t.Errorf("date is %d", got.Date())
	}
}

func TestDecodeRefuses(t *testing.T) {
	text, err := example().Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"newer", strings.Replace(good, `"version": 1`, `"version": 2`, 1), ErrVersion},
		{"unknown key", strings.Replace(good, `"recipe"`, `"more": 1, "recipe"`, 1), ErrInvalid},
		{"trailing text", good + "{}", ErrInvalid},
		{"cut off", good[:len(good)/2], ErrInvalid},
		{"out of order", strings.Replace(good, `"mawk"`, `"aawk"`, 1), ErrInvalid},
		{"twice", strings.Replace(good, `"mawk"`, `"bash"`, 1), ErrInvalid},
		{"no size", strings.Replace(good, `"size": 1`, `"size": 0`, 1), ErrInvalid},
		{"short hash", strings.Replace(good, `"0200`, `"02`, 1), ErrInvalid},
		{"nothing", "", ErrInvalid},
	} {
		if _, err := Decode("x.lock", []byte(tt.text)); !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), "x.lock: ") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestQuestion(t *testing.T) {
	q := Question{Recipe: "x", Arch: "amd64", Packages: []string{"b", "a"}, Suite: "trixie", Parent: []Package{{Name: "p", Version: "1"}, {Name: "o", Version: "1"}}}
	same := q
	same.Packages = []string{"a", "b"}
	same.Keyring = "/k"
	same.Recipe = "y"
	same.Parent = []Package{q.Parent[1], q.Parent[0]}
	if q.Hash() != same.Hash() {
		t.Error("order, keyring or name changed the hash")
	}
	for name, change := range map[string]func(*Question){
		"package":    func(q *Question) { q.Packages = []string{"a"} },
		"suite":      func(q *Question) { q.Suite = "sid" },
		"recommends": func(q *Question) { q.Recommends = true },
		"root":       func(q *Question) { q.Root = true },
		"parent":     func(q *Question) { q.Parent = []Package{{Name: "p", Version: "2"}, {Name: "o", Version: "1"}} },
		"mirror":     func(q *Question) { q.Mirror = "http://m/" },
	} {
		other := q
		change(&other)
		if q.Hash() == other.Hash() {
			t.Errorf("another %s left the hash as it was", name)
		}
	}
	l := example()
	l.RecipeHash = q.Hash()
	if err := l.Check(q); err != nil {
		t.Error(err)
	}
	q.Suite = "sid"
	if err := l.Check(q); !errors.Is(err, ErrStale) {
		t.Errorf("got %v", err)
	}
	q.Arch = "arm64"
	if err := l.Check(q); !errors.Is(err, ErrStale) || !strings.Contains(err.Error(), "arm64") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	text, err := example().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1,"packages":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Decode("x.lock", text)
		if err != nil {
			return
		}
		one, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode("x.lock", one)
		if err != nil {
			t.Fatal(err)
		}
		two, err := again.Encode()
		if err != nil || !bytes.Equal(one, two) {
			t.Errorf("not stable: %v", err)
		}
	})
}
