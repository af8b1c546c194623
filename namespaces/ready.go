package namespaces

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// readyTime bounds how long a first process may take to get ready: it mounts
// /proc and confines itself.
const readyTime = 10 * time.Second

// ready waits until the first process of a session without a command has done
// what those rely on who join: until its own /proc lies over it, the host's is
// there. Its filter is the last thing that it puts up (ninefold-init.c), and the
// host's /proc says so (proc_pid_status(5)).
func (s *Session) ready(ctx context.Context) error {
	name := fmt.Sprintf("/proc/%d/status", s.pid)
	for begun := time.Now(); ; time.Sleep(200 * time.Microsecond) {
		status, err := os.ReadFile(name)
		switch {
		case err != nil:
			return fmt.Errorf("wait for the first process of the session: %w", err)
		case strings.Contains(string(status), "\nSeccomp:\t2\n"):
			return nil
		case strings.Contains(string(status), "\nState:\tZ"):
			return errors.New("the first process of the session ended while it was getting ready")
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(begun) > readyTime:
			return fmt.Errorf("the first process of the session is not ready after %v", readyTime)
		}
	}
}
