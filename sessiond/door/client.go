package door

import (
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Ask sends one request to the door at path and returns the answer, as the C
// programs of the login path do it. The files become the caller's.
func Ask(path string, r Request) (Reply, []*os.File, error) {
	b, err := r.Encode()
	if err != nil {
		return Reply{}, nil, err
	}
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return Reply{}, nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(TimeoutMS * time.Millisecond))
	if _, err := c.Write(b); err != nil {
		return Reply{}, nil, fmt.Errorf("ask the door: %w", err)
	}
	buf, control := make([]byte, replyLen+1), make([]byte, unix.CmsgSpace(4*MaxFDs))
	n, on, _, _, err := c.ReadMsgUnix(buf, control)
	if err != nil {
		return Reply{}, nil, fmt.Errorf("ask the door: %w", err)
	}
	files, err := received(control[:on])
	if err != nil {
		return Reply{}, nil, err
	}
	reply, err := DecodeReply(buf[:n])
	if err == nil && len(reply.FDs) != len(files) {
		err = fmt.Errorf("reply: it announces %d descriptors and brings %d", len(reply.FDs), len(files))
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return Reply{}, nil, err
	}
	return reply, files, nil
}

// received takes the descriptors out of control messages. The runtime has
// already set close-on-exec on them (MSG_CMSG_CLOEXEC).
func received(control []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("reply: %w", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // a control message of another kind
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "namespace"))
		}
	}
	return files, nil
}
