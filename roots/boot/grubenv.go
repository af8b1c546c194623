package boot

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// GRUB's environment block: a line of magic, lines NAME=VALUE in which a
// backslash quotes the next byte, and '#' up to the 1024th byte ("The GRUB
// environment block" in its manual). GRUB writes to the blocks where it lies, so
// its size never changes.
const (
	envSize  = 1024
	envMagic = "# GRUB Environment Block\n"
)

// ErrEnvironment says that a file is no environment block, or a full one.
var ErrEnvironment = errors.New("GRUB's environment block is not usable")

// SetEnv returns the block with name set to value, and without it when value is
// empty. Neither may hold a backslash or a new line. An empty block is made new.
func SetEnv(block []byte, name, value string) ([]byte, error) {
	lines, err := envLines(block)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(envMagic)
	for _, l := range lines {
		if !strings.HasPrefix(l, name+"=") {
			b.WriteString(l + "\n")
		}
	}
	if value != "" {
		b.WriteString(name + "=" + value + "\n")
	}
	if b.Len() > envSize {
		return nil, fmt.Errorf("%w: it is full", ErrEnvironment)
	}
	return append(b.Bytes(), bytes.Repeat([]byte("#"), envSize-b.Len())...), nil
}

// Env returns the value of name, "" when the block does not have it.
func Env(block []byte, name string) (string, error) {
	lines, err := envLines(block)
	for _, l := range lines {
		if v, ok := strings.CutPrefix(l, name+"="); ok {
			return v, err
		}
	}
	return "", err
}

// envLines splits a block into its lines, without the magic and the padding. A
// quoted new line is part of its line.
func envLines(block []byte) ([]string, error) {
	if len(block) == 0 {
		return nil, nil
	}
	if len(block) != envSize || !bytes.HasPrefix(block, []byte(envMagic)) {
		return nil, fmt.Errorf("%w: it is none", ErrEnvironment)
	}
	var lines []string
	rest := block[len(envMagic):]
	for len(rest) > 0 {
		end, quoted := 0, false
		for end < len(rest) && (quoted || rest[end] != '\n') {
			quoted = !quoted && rest[end] == '\\'
			end++
		}
		if end == len(rest) {
			if len(bytes.Trim(rest, "#")) > 0 {
				return nil, fmt.Errorf("%w: its last line does not end", ErrEnvironment)
			}
			break
		}
		lines = append(lines, string(rest[:end]))
		rest = rest[end+1:]
	}
	return lines, nil
}
