package program

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// headLen is what the kernel reads of a script to find its first line.
const headLen = 256

// interpreterOf returns what the kernel loads to run the file: the program of a
// script's first line, or the loader of a dynamically linked program. "" is
// none. A file that is neither would be given to a shell by a shell, and to
// nobody by the kernel.
func interpreterOf(name string) (string, error) {
	// The whole path is root's by now, so it is no FIFO that waits for somebody.
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, headLen)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		line, _, whole := bytes.Cut(head[2:], []byte("\n"))
		words := bytes.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) == 0 || !path.IsAbs(string(words[0])) || len(words) == 1 && !whole && n == headLen {
			return "", fmt.Errorf("%w: its first line names no interpreter", ErrNotExecutable)
		}
		return string(words[0]), nil
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return loader(f, head)
	}
	return "", fmt.Errorf("%w: it is neither a program nor a script that names its interpreter behind #! in its first line", ErrNotExecutable)
}

// loader reads the PT_INTERP of a program; the section table, which debug/elf
// wants, is of no interest to the kernel.
func loader(f io.ReaderAt, head []byte) (string, error) {
	broken := fmt.Errorf("%w: its program header is damaged", ErrNotExecutable)
	if len(head) < 64 {
		return "", broken
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	var at int64
	var size, count int
	var offset, length func(h []byte) uint64
	switch elf.Class(head[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		at, size, count = int64(order.Uint64(head[32:])), int(order.Uint16(head[54:])), int(order.Uint16(head[56:]))
		offset = func(h []byte) uint64 { return order.Uint64(h[8:]) }
		length = func(h []byte) uint64 { return order.Uint64(h[32:]) }
	case elf.ELFCLASS32:
		at, size, count = int64(order.Uint32(head[28:])), int(order.Uint16(head[42:])), int(order.Uint16(head[44:]))
		offset = func(h []byte) uint64 { return uint64(order.Uint32(h[4:])) }
		length = func(h []byte) uint64 { return uint64(order.Uint32(h[16:])) }
	default:
		return "", broken
	}
	if size < 32 || size > 256 || count > 4096 || elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS64 && size < 56 {
		return "", broken
	}
	headers := make([]byte, size*count)
	if _, err := f.ReadAt(headers, at); err != nil {
		return "", broken
	}
	for i := range count {
		h := headers[i*size:]
		if elf.ProgType(order.Uint32(h)) != elf.PT_INTERP {
			continue
		}
		n := length(h)
		if n < 2 || n > maxName {
			return "", broken
		}
		name := make([]byte, n)
		if _, err := f.ReadAt(name, int64(offset(h))); err != nil {
			return "", broken
		}
		name, _, _ = bytes.Cut(name, []byte{0})
		if !path.IsAbs(string(name)) {
			return "", broken
		}
		return string(name), nil
	}
	return "", nil
}
