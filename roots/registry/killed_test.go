package registry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/store"
	"ninefold/tests/needs"
)

// pulling names, for a copy of this program, the store and the reference that it pulls.
const pulling = "NINEFOLD_TEST_PULL"

func TestMain(m *testing.M) {
	if what := os.Getenv(pulling); what != "" {
		dir, ref, _ := strings.Cut(what, " ")
		s, err := store.Open(dir)
		if err == nil {
			_, err = Pull(context.Background(), s, ref, Options{})
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func puller(t *testing.T, dir, ref string, before ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(before, self)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), pulling+"="+dir+" "+ref)
	return cmd
}

// pushed is an image of packages of some size in a registry that counts how
// often each blob is asked for, and says when the first is.
func pushed(t *testing.T) (ref string, id image.ID, asked *sync.Map, began chan struct{}) {
	t.Helper()
	asked, began = &sync.Map{}, make(chan struct{}, 1)
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isBlobGET(r) {
				n, _ := asked.LoadOrStore(r.URL.Path, new(atomic.Int64))
				n.(*atomic.Int64).Add(1)
				select {
				case began <- struct{}{}:
				default:
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	from := open(t)
	var parent image.ID
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 6 {
		var content strings.Builder
		for range 1 << (10 + i) {
			fmt.Fprintf(&content, "%x ", r.Uint64())
		}
		name := fmt.Sprint("package", i)
		parent = addImage(t, from, parent, addPackage(t, from, name, "usr/share/"+name, content.String()))
	}
	ref = host + "/base:1"
	if err := Push(t.Context(), from, parent, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	return ref, parent, asked, began
}

func arrived(t *testing.T, s *store.Store, ref string, id image.ID) {
	t.Helper()
	if got, err := s.Resolve(ref); err != nil || got != id {
		t.Errorf("the reference stands for %s: %v", got.Short(), err)
	}
	if damage, err := s.Verify(t.Context(), id); err != nil || len(damage) > 0 {
		t.Errorf("damage %v, %v", damage, err)
	}
}

// TestAPullKilledAtAnyMoment goes on with what had come.
func TestAPullKilledAtAnyMoment(t *testing.T) {
	ref, id, _, began := pushed(t)
	var s *store.Store
	killed := 0
	for round := range 12 {
		if round%4 == 0 {
			s = open(t)
		}
		select {
		case <-began:
		default:
		}
		cmd := puller(t, s.Dir(), ref)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case <-began:
			time.Sleep(time.Duration(rand.IntN(40_000)) * time.Microsecond)
			cmd.Process.Kill()
			if <-done != nil {
				killed++
			}
		case err := <-done:
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if _, err := s.Resolve(ref); err == nil {
			arrived(t, s, ref, id)
		} else if s.HasImage(id) {
			// Its record comes last but for the name.
			if damage, err := s.Verify(t.Context(), id); err != nil || len(damage) > 0 {
				t.Errorf("round %d: damage %v, %v", round, damage, err)
			}
		}
		if round%4 == 3 {
			if out, err := puller(t, s.Dir(), ref).CombinedOutput(); err != nil {
				t.Fatalf("round %d: %v: %s", round, err, out)
			}
			arrived(t, s, ref, id)
		}
	}
	if killed == 0 {
		t.Error("none was killed before it was done")
	}
}

// TestTwoPullsOfOneImage let nothing travel twice but what says what the image is.
func TestTwoPullsOfOneImage(t *testing.T) {
	ref, id, asked, _ := pushed(t)
	s := open(t)
	cmds := []*exec.Cmd{puller(t, s.Dir(), ref), puller(t, s.Dir(), ref)}
	for _, cmd := range cmds {
		cmd.Stdout = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	arrived(t, s, ref, id)
	twice := 0
	asked.Range(func(_, n any) bool {
		if n.(*atomic.Int64).Load() > 1 {
			twice++
		}
		return true
	})
	if twice > 1 {
		t.Errorf("%d blobs travelled twice, want the document alone", twice)
	}
}

// TestAFullDisk ends a pull, which goes on when there is room again.
func TestAFullDisk(t *testing.T) {
	needs.Root(t)
	needs.Programs(t, "unshare")
	ref, id, _, _ := pushed(t)
	dir := t.TempDir()
	out := t.TempDir()
	// What is on the small disk is copied out of the namespace to be looked at.
	script := `mount -t tmpfs -o size=400k tmpfs "$0" || exit 99
"$2" && exit 98
mkdir "$1/full" && cp -a "$0/." "$1/full" && mount -o remount,size=64m "$0" || exit 97
"$2" && mkdir "$1/after" && cp -a "$0/." "$1/after"`
	cmd := puller(t, dir, ref, "unshare", "-m", "sh", "-c", script, dir, out)
	text, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(text), "no space left") {
		t.Fatalf("%v: %s", err, text)
	}
	for name, done := range map[string]bool{"full": false, "after": true} {
		s, err := store.Open(out + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if done {
			arrived(t, s, ref, id)
		} else {
			untouched(t, s, id)
		}
	}
}
