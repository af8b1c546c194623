package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"ninefold/namespaces/kernel"
	"ninefold/sessiond/broker/wire"
)

// terminal is the command's own, in the host's devpts. The caller gets the
// master and relays; ours of the slave keeps it open until systemd has it, and
// until the command has ended.
type terminal struct {
	slave *os.File
	once  sync.Once
}

// Close hangs up for our part. It may be called twice.
func (t *terminal) Close() {
	t.once.Do(func() {
		if t.slave != nil {
			t.slave.Close()
		}
	})
}

// terminal makes a terminal if the command is to have one, and waits until the
// caller has set it up like its own.
func (b *Broker) terminal(ctx context.Context, c *wire.Conn, cmd *command, heard <-chan wire.Event) (*terminal, error) {
	wanted := false
	for _, s := range cmd.request.Streams {
		wanted = wanted || s == wire.OwnTerminal
	}
	if !wanted {
		return &terminal{}, nil
	}
	t, master, err := openTerminal(cmd.target.UID)
	if err != nil {
		return nil, fmt.Errorf("make a terminal for the command: %w", err)
	}
	err = tell(c, wire.Event{Kind: wire.Terminal}, master)
	master.Close()
	if err == nil {
		select {
		case v := <-heard:
			if v.Kind != wire.Go {
				err = wire.ErrBad
			}
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(requestTimeout):
			err = errors.New("the caller does not set up its terminal")
		}
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func openTerminal(uid uint32) (*terminal, *os.File, error) {
	root, err := kernel.OpenHost("/")
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	master, slave, err := kernel.OpenPTY(root, "dev/pts/ptmx", uid)
	if err != nil {
		return nil, nil, err
	}
	return &terminal{slave: slave}, master, nil
}
