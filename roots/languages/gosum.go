package languages

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/module"
)

// gosum reads a go.sum (https://go.dev/ref/mod#go-sum-files). What is laid is what a module proxy has,
// so that GOPROXY=file://DIR finds it.
func gosum(text []byte, registry, _ string) (*Plan, error) {
	p := &Plan{Texts: map[string][]byte{"go.sum": text}}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 {
			return nil, fmt.Errorf("line %d has %d words, want a module, a version and a hash", n, len(words))
		}
		version, isMod := strings.CutSuffix(words[1], "/go.mod")
		kind, ext := "zip", ".zip"
		if isMod {
			kind, ext = "mod", ".mod"
		}
		if err := module.Check(words[0], version); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		value, ok := strings.CutPrefix(words[2], "h1:")
		if !ok {
			continue // a hash of a later kind, beside which this one stands
		}
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return nil, fmt.Errorf("line %d: the hash: %w", n, err)
		}
		sum, err := newSum(kind, raw)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		at, err := module.EscapePath(words[0])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		escaped, err := module.EscapeVersion(version)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		at += "/@v/" + escaped
		p.Files = append(p.Files, File{Package: words[0] + " " + version, URL: registry + "/" + at + ext, Path: at + ext, Sum: sum})
		info, err := json.Marshal(map[string]string{"Version": version})
		if err != nil {
			return nil, err
		}
		p.Texts[at+".info"] = info
	}
	if len(p.Files) == 0 {
		return nil, fmt.Errorf("it names no module: run go mod tidy")
	}
	return p, nil
}
