package manager

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ninefold/roots/pkg"
	"ninefold/sessiond/desktop"
)

// A kept stack is a sequence of netstrings ("5:hello,"), in the order in which
// pack and unpack name them. A session start reads one, and a decoder that goes
// by reflection would take longer than everything else that it decides.

const stackMagic = "ninefold stack"

var errStack = errors.New("not a kept stack")

// encodeStack is the inverse of decodeStack.
func encodeStack(s *stack) ([]byte, error) {
	// What explains a decision is read by people alone, and can take its time.
	why, err := json.Marshal(s.Decision)
	if err != nil {
		return nil, err
	}
	w := &packer{}
	w.text(stackMagic)
	w.number(s.Version)
	w.number(s.Facts.Version)
	w.text(s.Stamp)
	w.flag(s.OnHost)
	w.texts(s.Removed)
	w.text(string(why))
	w.number(len(s.Pieces))
	for _, p := range s.Pieces {
		w.text(p.Image.String())
		w.text(p.Name)
		w.text(p.Above.String())
	}
	w.number(len(s.Environment))
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		w.text(name)
		w.text(s.Environment[name])
	}
	w.text(s.Facts.Accounts.Passwd)
	w.text(s.Facts.Accounts.Group)
	w.texts(s.Facts.Programs)
	w.texts(s.Facts.Locales)
	w.flag(s.Facts.ZoneInfo)
	w.number(len(s.Facts.Sessions))
	for _, d := range s.Facts.Sessions {
		w.texts([]string{string(d.Type), d.ID, d.Name, d.Comment})
		w.texts(d.Argv)
		w.texts(d.Desktops)
		w.flag(d.Registers)
	}
	return []byte(w.b.String()), nil
}

// decodeStack reads a kept stack. One of another version is an error: it is
// decided anew.
func decodeStack(b []byte) (*stack, error) {
	r := &unpacker{rest: string(b)}
	if r.text() != stackMagic || r.number() != stackVersion || r.number() != imageFactsVersion {
		return nil, errStack
	}
	s := &stack{Version: stackVersion, Facts: &imageFacts{Version: imageFactsVersion}}
	s.Stamp = r.text()
	s.OnHost = r.flag()
	s.Removed = r.texts()
	s.why = r.text()
	for range r.count() {
		s.Pieces = append(s.Pieces, piece{Image: r.digest(), Name: r.text(), Above: r.digest()})
	}
	if n := r.count(); n > 0 {
		s.Environment = make(map[string]string, n)
		for range n {
			name := r.text()
			s.Environment[name] = r.text()
		}
	}
	s.Facts.Accounts.Passwd = r.text()
	s.Facts.Accounts.Group = r.text()
	s.Facts.Programs = r.texts()
	s.Facts.Locales = r.texts()
	s.Facts.ZoneInfo = r.flag()
	for range r.count() {
		words := r.texts()
		if len(words) != 4 {
			return nil, errStack
		}
		s.Facts.Sessions = append(s.Facts.Sessions, desktop.Session{Type: desktop.Type(words[0]), ID: words[1], Name: words[2], Comment: words[3],
			Argv: r.texts(), Desktops: r.texts(), Registers: r.flag()})
	}
	if r.err != nil || r.rest != "" {
		return nil, errStack
	}
	return s, nil
}

type packer struct{ b strings.Builder }

func (w *packer) text(s string) {
	w.b.WriteString(strconv.Itoa(len(s)))
	w.b.WriteByte(':')
	w.b.WriteString(s)
	w.b.WriteByte(',')
}

func (w *packer) number(n int) { w.text(strconv.Itoa(n)) }

func (w *packer) flag(on bool) { w.text(strconv.FormatBool(on)) }

func (w *packer) texts(all []string) {
	w.number(len(all))
	for _, s := range all {
		w.text(s)
	}
}

// unpacker reads netstrings; after the first error it yields zero values.
type unpacker struct {
	rest string
	err  error
}

func (r *unpacker) text() string {
	length, rest, ok := strings.Cut(r.rest, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n >= len(rest) || rest[n] != ',' || strconv.Itoa(n) != length {
		r.fail()
		return ""
	}
	r.rest = rest[n+1:]
	return rest[:n]
}

func (r *unpacker) fail() { r.err, r.rest = errStack, "" }

func (r *unpacker) number() int {
	n, err := strconv.Atoi(r.text())
	if err != nil {
		r.fail()
	}
	return n
}

// count is the number of things that follow, which take at least three bytes
// each.
func (r *unpacker) count() int {
	n := r.number()
	if n < 0 || n > len(r.rest)/3 {
		r.fail()
		return 0
	}
	return n
}

func (r *unpacker) flag() bool {
	s := r.text()
	if s != "true" && s != "false" {
		r.fail()
	}
	return s == "true"
}

func (r *unpacker) texts() []string {
	var all []string
	for range r.count() {
		all = append(all, r.text())
	}
	return all
}

func (r *unpacker) digest() pkg.Digest {
	d, err := pkg.ParseDigest(r.text())
	if err != nil {
		r.fail()
	}
	return d
}

// explain decodes what explains the decision.
func (s *stack) explain() error {
	if s.why == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(s.why), &s.Decision); err != nil {
		return fmt.Errorf("%w: %w", errStack, err)
	}
	return nil
}
