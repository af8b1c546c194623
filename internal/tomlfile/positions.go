package tomlfile

import "strings"

// Positions knows where the keys of a file stand, for errors about values
// that are well formed and still wrong.
type Positions struct {
	file   string
	places map[string]Position
}

// Index finds the positions in data, the content of file. Of a file with a
// syntax error it knows what stands before the error.
func Index(file string, data []byte) Positions {
	if len(data) > MaxSize {
		return Positions{file: file}
	}
	return Positions{file: file, places: walk(file, data, nil).places}
}

// At returns where the value at path stands: At("source", "suite"), or
// At("packages", "3") for the fourth element of a list. When it is not in the
// file the nearest table around it is taken.
func (p Positions) At(path ...string) Position {
	for n := len(path); n > 0; n-- {
		if pos, ok := p.places[strings.Join(path[:n], "\x00")]; ok {
			return pos
		}
	}
	return Position{}
}

// Error makes an Error about the value at path.
func (p Positions) Error(err error, msg string, path ...string) *Error {
	return &Error{File: p.file, Position: p.At(path...), Msg: msg, Err: err}
}

// Has reports whether the file says something at path.
func (p Positions) Has(path ...string) bool {
	_, ok := p.places[strings.Join(path, "\x00")]
	return ok
}
