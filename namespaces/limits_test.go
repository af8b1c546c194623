package namespaces_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ninefold/namespaces"
	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// TestSharesOfTheMachine: what a session takes of processors, disks and swap is
// bounded by its own cgroup, and its share is that of the cgroup above, where it
// counts beside users and services. A machine that cannot says so.
func TestSharesOfTheMachine(t *testing.T) {
	for _, c := range []struct {
		limit      plan.Limit
		file, want string
		shared     bool
	}{
		{plan.Limit{Name: "cpu_quota", Value: 150}, "cpu.max", "150000 100000\n", false},
		{plan.Limit{Name: "cpu_weight", Value: 20}, "cpu.weight", "20\n", true},
		{plan.Limit{Name: "swap", Value: 0}, "memory.swap.max", "0\n", false},
		{plan.Limit{Name: "io_weight", Value: 20}, "io*.weight", "default 20\n", true},
		{plan.Limit{Name: "io_max", Value: 1 << 20}, "io.max", " rbps=1048576 wbps=1048576 ", false},
	} {
		t.Run(c.limit.Name, func(t *testing.T) {
			p := hostPlan(t, all, 12345, c.limit)
			s, err := namespaces.Start(context.Background(), p, namespaces.Command{Argv: []string{"sleep", "1000"}})
			if !namespaces.CanLimit(c.limit.Name) {
				if !errors.Is(err, namespaces.ErrUnsupported) {
					t.Errorf("it cannot be held to, and the session was made: %v", err)
				} else if controller, _, _ := strings.Cut(strings.TrimPrefix(c.file, "io*"), "."); controller != "" && !strings.Contains(kernel.Hint(err), controller+" controller") {
					t.Errorf("hint: %q", kernel.Hint(err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			dirs, _ := filepath.Glob("/sys/fs/cgroup/ninefold*/" + strconv.Itoa(os.Getpid()) + "-*")
			if len(dirs) != 1 {
				t.Fatalf("cgroups: %v", dirs)
			}
			dir := dirs[0]
			if c.shared {
				dir = filepath.Dir(dir)
			}
			files, _ := filepath.Glob(filepath.Join(dir, c.file))
			if len(files) == 0 {
				t.Fatalf("%s has no %s", dir, c.file)
			}
			got, err := os.ReadFile(files[0])
			// A machine without disks of its own has none to bound.
			disks, _ := filepath.Glob("/sys/block/*/device")
			if err != nil || !strings.Contains(string(got), c.want) && (c.limit.Name != "io_max" || len(disks) > 0) {
				t.Errorf("%s is %q, want %q; %v", files[0], got, c.want, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if dirs, _ := filepath.Glob("/sys/fs/cgroup/ninefold*/" + strconv.Itoa(os.Getpid()) + "-*"); len(dirs) != 0 {
				t.Errorf("left behind: %v", dirs)
			}
		})
	}
}
