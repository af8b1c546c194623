package manager

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"ninefold/internal/netstring"
	"ninefold/roots/pkg"
	"ninefold/sessiond/desktop"
)

// A kept stack is a sequence of netstrings, in the order in which encodeStack and
// decodeStack name them.

const stackMagic = "ninefold stack"

var errStack = errors.New("not a kept stack")

// encodeStack is the inverse of decodeStack.
func encodeStack(s *stack) ([]byte, error) {
	// What explains a decision is read by people alone, and can take its time.
	why, err := json.Marshal(s.Decision)
	if err != nil {
		return nil, err
	}
	w := &netstring.Packer{}
	w.Text(stackMagic)
	w.Number(s.Version)
	w.Number(s.Facts.Version)
	w.Text(s.Stamp)
	w.Flag(s.OnHost)
	w.Texts(s.Removed)
	w.Text(string(why))
	w.Number(len(s.Pieces))
	for _, p := range s.Pieces {
		w.Text(p.Image.String())
		w.Text(p.Name)
		w.Text(p.Above.String())
	}
	w.Number(len(s.Environment))
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		w.Text(name)
		w.Text(s.Environment[name])
	}
	w.Text(s.Facts.Accounts.Passwd)
	w.Text(s.Facts.Accounts.Group)
	w.Texts(s.Facts.Programs)
	w.Texts(s.Facts.Locales)
	w.Flag(s.Facts.ZoneInfo)
	w.Number(len(s.Facts.Sessions))
	for _, d := range s.Facts.Sessions {
		w.Texts([]string{string(d.Type), d.ID, d.Name, d.Comment})
		w.Texts(d.Argv)
		w.Texts(d.Desktops)
		w.Flag(d.Registers)
	}
	return []byte(w.String()), nil
}

// decodeStack reads a kept stack. One of another version is an error: it is
// decided anew.
func decodeStack(b []byte) (*stack, error) {
	r := netstring.Unpack(string(b))
	if r.Text() != stackMagic || r.Number() != stackVersion || r.Number() != imageFactsVersion {
		return nil, errStack
	}
	s := &stack{Version: stackVersion, Facts: &imageFacts{Version: imageFactsVersion}}
	s.Stamp = r.Text()
	s.OnHost = r.Flag()
	s.Removed = r.Texts()
	s.why = r.Text()
	for range r.Count() {
		s.Pieces = append(s.Pieces, piece{Image: digest(r), Name: r.Text(), Above: digest(r)})
	}
	if n := r.Count(); n > 0 {
		s.Environment = make(map[string]string, n)
		for range n {
			name := r.Text()
			s.Environment[name] = r.Text()
		}
	}
	s.Facts.Accounts.Passwd = r.Text()
	s.Facts.Accounts.Group = r.Text()
	s.Facts.Programs = r.Texts()
	s.Facts.Locales = r.Texts()
	s.Facts.ZoneInfo = r.Flag()
	for range r.Count() {
		words := r.Texts()
		if len(words) != 4 {
			return nil, errStack
		}
		s.Facts.Sessions = append(s.Facts.Sessions, desktop.Session{Type: desktop.Type(words[0]), ID: words[1], Name: words[2], Comment: words[3],
			Argv: r.Texts(), Desktops: r.Texts(), Registers: r.Flag()})
	}
	if r.End() != nil {
		return nil, errStack
	}
	return s, nil
}

func digest(r *netstring.Unpacker) pkg.Digest {
	d, err := pkg.ParseDigest(r.Text())
	if err != nil {
		r.Fail()
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
