package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ninefold/sessiond/api"
)

// views is a daemon of which only the views are asked. There is no namespace to
// bind into, so that nothing is done beyond what is decided here; what is done
// in a namespace is tested in namespaces and on booted machines.
type views struct {
	api.Service
	have map[string]api.View
}

var errNoNamespace = errors.New("there is no namespace")

func (v views) View(_ context.Context, id string) (api.View, error) {
	if x, ok := v.have[id]; ok {
		return x, nil
	}
	return api.View{}, fmt.Errorf("view %s: %w", id, api.ErrNotFound)
}

func (v views) Views(context.Context) (out []api.View, err error) {
	for _, x := range v.have {
		out = append(out, x)
	}
	return out, nil
}

func (v views) Namespace(context.Context, string) (*os.File, error) { return nil, errNoNamespace }

func TestWhatIsRefusedBeforeAnythingIsEntered(t *testing.T) {
	ctx := context.Background()
	b := New(views{have: map[string]api.View{"mine": {ID: "mine", Class: "trusted"}, "users": {ID: "users", Class: "untrusted"}}}, t.TempDir(), nil)
	for _, c := range []struct {
		view, source string
		want         error
	}{{"gone", "/a", api.ErrNotFound}, {"users", "/a", api.ErrPolicy}, {"mine", "/a", errNoNamespace}} {
		if err := b.Bind(ctx, c.view, api.NewBind{Source: c.source, Target: "/n/a"}); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := b.Bind(ctx, "mine", api.NewBind{Source: "a", Target: "/n/a"}); err == nil || errors.Is(err, errNoNamespace) {
		t.Errorf("a relative source: %v", err)
	}
	if _, err := b.List(ctx, "gone"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("list: %v", err)
	}
}

func TestWhatIsBoundIsKept(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "state", "binds")
	b := New(views{have: map[string]api.View{"a": {ID: "a"}, "b": {ID: "b"}}}, dir, nil)
	if err := b.write(ctx, "a", []record{{"/n/x", true, 7, 0}, {"/n/y", false, 8, 0}}); err != nil {
		t.Fatal(err)
	}
	again := New(views{have: map[string]api.View{"a": {ID: "a"}}}, dir, nil)
	got, err := again.List(ctx, "a")
	if err != nil || len(got) != 2 || got[0] != (api.Bind{Target: "/n/x", ReadOnly: true}) {
		t.Errorf("a new daemon knows %+v, %v", got, err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v %v", st, err)
	}
	// What is over is forgotten, and what is damaged is told.
	gone := New(views{have: map[string]api.View{"b": {ID: "b"}}}, dir, nil)
	if err := gone.write(ctx, "b", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a view that is over is remembered: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := gone.List(ctx, "b"); err == nil {
		t.Error("a damaged file is taken for none")
	}
}

// TestMemoryIsBoundedForAUser: in all of their views together.
func TestMemoryIsBoundedForAUser(t *testing.T) {
	ctx := context.Background()
	v := views{have: map[string]api.View{"a": {ID: "a", UID: 1}, "b": {ID: "b", UID: 1}, "c": {ID: "c", UID: 2}}}
	b := New(v, t.TempDir(), func() int64 { return 100 })
	for _, id := range []string{"a", "b", "c"} {
		if err := b.write(ctx, id, []record{{"/n/x", false, 7, 40}, {"/n/y", false, 8, 0}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		uid  uint32
		size int64
		ok   bool
	}{{1, 20, true}, {1, 21, false}, {2, 60, true}, {2, 61, false}, {3, 100, true}, {3, 1 << 62, false}} {
		if err := b.fits(ctx, c.uid, c.size); (err == nil) != c.ok || err != nil && !errors.Is(err, api.ErrPolicy) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
