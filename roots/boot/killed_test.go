package boot

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// doing tells a copy of this program the root of a machine, whether an image is to stay, and at
// which step it waits to be killed.
const doing = "NINEFOLD_TEST_BOOT"

func TestMain(m *testing.M) {
	if text := os.Getenv(doing); text != "" {
		words := strings.SplitN(text, " ", 3)
		stay, err := strconv.ParseBool(words[1])
		if err == nil {
			err = waitAt(words[0], stay, words[2])
		}
		fmt.Println("ended:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// waitAt has a machine start on an image, and takes that back if at is a step of it, and says when
// it is there.
func waitAt(root string, stay bool, at string) error {
	m := machineIn(root)
	m.step = func(name string) {
		if name == at {
			fmt.Println("there")
			time.Sleep(time.Hour)
		}
	}
	r := m.request(stay)
	r.Write = func(_ context.Context, file string) error {
		if err := os.WriteFile(file, []byte("im"), 0o600); err != nil {
			return err
		}
		m.done("half of the image")
		return os.WriteFile(file, []byte("image"), 0o600)
	}
	of := m.run
	m.run = func(ctx context.Context, name string, args ...string) ([]byte, error) {
		out, err := of(ctx, name, args...)
		if name == "mkinitramfs" {
			m.done("initramfs")
		}
		return out, err
	}
	if err := m.Boot(context.Background(), r); err != nil || at != "disarm" {
		return err
	}
	return m.Back(context.Background())
}

// killedAt kills a process of its own that is at a step.
func killedAt(t *testing.T, m *Machine, at string, stay bool) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%s %v %s", doing, m.Root, stay, at))
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "there\n" {
		t.Errorf("it is to be killed at %s, and says %q (%v)", at, line, err)
	}
	_ = c.Process.Kill()
	_ = c.Wait()
}
