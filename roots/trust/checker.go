package trust

import (
	"fmt"
	"slices"
	"strings"

	"ninefold/internal/tomlfile"
	"ninefold/roots/image"
)

// checker gathers what is wrong with a file.
type checker struct {
	index tomlfile.Positions
	errs  tomlfile.Errors
}

func (c *checker) bad(msg string, key ...string) {
	c.errs = append(c.errs, c.index.Error(ErrInvalid, msg, key...))
}

func (c *checker) version(n int) {
	if n != fileVersion {
		c.bad(fmt.Sprintf("version is %d, and this program knows %d", n, fileVersion), "version")
	}
}

func (c *checker) patterns(list []string, key ...string) {
	for _, s := range list {
		if !image.ValidPattern(s) {
			c.bad(fmt.Sprintf("%.80q is not a pattern of references: like steve/*, or ** for all", s), key...)
		}
	}
}

func (c *checker) oneOf(s string, list []string, key ...string) {
	if slices.Contains(list, s) {
		return
	}
	hint := ""
	if near := tomlfile.Nearest(s, list); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	c.bad(fmt.Sprintf("%.80q is not one of %s%s", s, strings.Join(list, ", "), hint), key...)
}

func (c *checker) err() error {
	if len(c.errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w:\n%w", ErrInvalid, c.errs)
}
