package contexts

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Text is what a file of a layer holds, with upper the directory that lies at /, or
// of a pin. ok is false where the layer has no such file of its own, or one that
// nobody should read: no link is followed, and nothing but a small regular file read.
func Text(upper, name string) (text string, ok bool, err error) {
	n, err := lookIn(upper, name)
	if err != nil || !n.exists || n.kind() != unix.S_IFREG || !n.whole {
		return "", false, err
	}
	return n.text, true, nil
}

// Has reports whether a layer has something at a name, and whether it hides what the
// layers below have there. No link is followed on the way.
func Has(upper, name string) (has, hides bool, err error) {
	n, err := lookIn(upper, name)
	return n.exists && n.kind() != unix.S_IFCHR, n.exists && n.kind() == unix.S_IFCHR, err
}

func lookIn(upper, name string) (node, error) {
	root, err := os.OpenFile(upper, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ENOENT) {
		return node{}, nil
	}
	if err != nil {
		return node{}, err
	}
	defer root.Close()
	n, err := (&target{root: int(root.Fd())}).look(name)
	if errors.Is(err, errOnTheWay) {
		return node{}, nil
	}
	return n, err
}
