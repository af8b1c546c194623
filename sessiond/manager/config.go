package manager

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"ninefold/internal/tomlfile"
)

// ErrConfig says that ninefold.toml is wrong.
var ErrConfig = errors.New("bad configuration")

// Config is what ninefold.toml says about the machine as a whole.
type Config struct {
	Trust Trust `toml:"trust"`
}

// Trust is the one place that says whose certificate authorities sessions
// trust.
type Trust struct {
	// CA is "host" (the default): the machine's, with what its administrator
	// added; "image": those that came with the image; or a directory of the
	// host with a ca-certificates.crt in it.
	CA string `toml:"ca"`
}

// loadConfig reads the first ninefold.toml in dirs; none at all is the
// default configuration.
func loadConfig(dirs []string) (Config, error) {
	c := Config{Trust: Trust{CA: "host"}}
	for _, d := range dirs {
		name := filepath.Join(d, "ninefold.toml")
		b, err := readBounded(name, tomlfile.MaxSize)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = rely(name)
		}
		if err != nil {
			return c, fmt.Errorf("read the configuration: %w", err)
		}
		if err := tomlfile.Decode(name, b, &c); err != nil {
			return c, fmt.Errorf("%w:\n%w", ErrConfig, err)
		}
		switch ca := c.Trust.CA; {
		case ca == "host" || ca == "image":
		case strings.HasPrefix(ca, "/") && filepath.Clean(ca) == ca:
		default:
			return c, fmt.Errorf("%w: %s: trust.ca is %q; it is \"host\", \"image\" or an absolute directory", ErrConfig, name, ca)
		}
		return c, nil
	}
	return c, nil
}
