// Package plainbus connects to a D-Bus without taking file descriptors. Anybody may send
// some to whoever does, in any message, and those of a message that is not understood
// would stay open until there is none left.
package plainbus

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// systemBus is the address that every system bus has (dbus-daemon(1)).
const systemBus = "unix:path=/run/dbus/system_bus_socket"

// connectTimeout bounds becoming a client of a bus, which may be stopped.
const connectTimeout = 2 * time.Second

// Connect connects to a bus, "" being the system's, for connectTimeout at most.
// The bus refuses for us what brings descriptors.
func Connect(ctx context.Context, address string, options ...dbus.ConnOption) (*dbus.Conn, error) {
	conn, err := connect(ctx, cmp.Or(address, os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), systemBus), options)
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	return conn, nil
}

func connect(ctx context.Context, address string, options []dbus.ConnOption) (*dbus.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var failed error
	for one := range strings.SplitSeq(address, ";") {
		name, err := socket(one)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", name)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		return introduce(ctx, c, options)
	}
	return nil, failed
}

// stream is a connection without the methods for descriptors, so that the library offers
// none to the bus. It reads ahead: the library reads messages by one to four bytes.
type stream struct {
	net.Conn
	ahead *bufio.Reader
}

func (s stream) Read(b []byte) (int, error) { return s.ahead.Read(b) }

// introduce says who we are. A bus that is stopped accepts and answers nothing.
func introduce(ctx context.Context, c net.Conn, options []dbus.ConnOption) (*dbus.Conn, error) {
	conn, err := dbus.NewConn(stream{c, bufio.NewReader(c)}, options...)
	if err != nil {
		c.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.Auth(nil); err != nil {
		conn.Close()
		return nil, errors.Join(err, ctx.Err())
	}
	if err := conn.Hello(); err != nil {
		conn.Close()
		return nil, errors.Join(err, ctx.Err())
	}
	if !stop() {
		conn.Close()
		return nil, ctx.Err()
	}
	return conn, nil
}

// socket returns the socket of a unix address: a path, or "@" and a name.
func socket(address string) (string, error) {
	keys, ok := strings.CutPrefix(address, "unix:")
	for pair := range strings.SplitSeq(keys, ",") {
		key, value, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		if !ok || err != nil || value == "" {
			continue
		}
		switch key {
		case "path":
			return value, nil
		case "abstract":
			return "@" + value, nil
		}
	}
	return "", fmt.Errorf("%q is no address of a unix socket", address)
}
