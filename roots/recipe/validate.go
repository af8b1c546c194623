package recipe

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ninefold/internal/tomlfile"
	"ninefold/roots/languages"
)

const (
	maxPackages = 10_000
	maxName     = 64
	// maxFetch bounds a recipe's files, and maxFetchSize each of them.
	maxFetch     = 10_000
	maxFetchSize = 16 << 30
	// HostName is what From says for the running machine; no recipe may have
	// this name.
	HostName = "host"
)

var (
	// referenceRule is what a reference looks like; the store, which knows, reads it.
	referenceRule = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*(:[0-9]+/[a-z0-9][a-z0-9._-]*)?(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$`)

	nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	// Debian policy 5.6.1; a trailing minus would tell apt-get to remove.
	packageRule = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]*[a-z0-9+.]$`)
	// Debian policy 5.6.12.
	versionRule = regexp.MustCompile(`^([0-9]+:)?[0-9][A-Za-z0-9.+~-]*$`)
	// Suites and components become parts of a URL and of a path.
	suiteRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~_-]*(/[A-Za-z0-9][A-Za-z0-9.+~_-]*)*$`)
	userRule  = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	envRule   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	capsRule  = regexp.MustCompile(`^cap_[a-z_]+(,cap_[a-z_]+)*[=+][eip]+$`)
	hashRule  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	fileRule  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+@~-]{0,200}$`)
	stepRule  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
)

// Validate checks everything that can be checked without other recipes. Parse
// has called it already.
func (r *Recipe) Validate() error {
	c := &checker{r: r}
	c.head()
	c.packages()
	c.source()
	c.finish()
	c.declare()
	c.requires()
	c.fetch()
	c.rest()
	if len(c.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(c.errs, func(a, b *tomlfile.Error) int { return a.Line - b.Line })
	return c.errs
}

// CheckSteps reports the built-in finishing steps that the recipe names and
// that are not in known.
func (r *Recipe) CheckSteps(known []string) error {
	c := &checker{r: r}
	for i, s := range r.Finish.Steps {
		if !slices.Contains(known, s) {
			msg := fmt.Sprintf("there is no finishing step %q", s)
			if near := tomlfile.Nearest(s, known); near != "" {
				msg += fmt.Sprintf("; did you mean %q?", near)
			} else {
				msg += "; there are " + strings.Join(known, ", ")
			}
			c.at("finish", "steps", strconv.Itoa(i)).add("%s", msg)
		}
	}
	if len(c.errs) == 0 {
		return nil
	}
	return c.errs
}

// checker collects errors; at says where the next one belongs.
type checker struct {
	r    *Recipe
	path []string
	errs tomlfile.Errors
}

func (c *checker) at(path ...string) *checker {
	c.path = path
	return c
}

func (c *checker) add(format string, args ...any) {
	e := c.r.places.Error(ErrInvalid, fmt.Sprintf(format, args...), c.path...)
	if e.File == "" {
		e.File = "recipe " + c.r.Name
	}
	c.errs = append(c.errs, e)
}

func (c *checker) head() {
	r := c.r
	if r.Version != 1 {
		if c.at("version"); r.Version == 0 {
			c.add("version is missing; write: version = 1")
		} else {
			c.add("version %d is not known; this program reads version 1", r.Version)
		}
	}
	switch c.at("name"); {
	case r.Name == "":
		c.add("name is missing")
	case len(r.Name) > maxName || !nameRule.MatchString(r.Name):
		c.add("name %q: use up to %d lower-case letters, digits, dots, dashes and underscores, a letter or digit first", r.Name, maxName)
	case r.Name == HostName:
		c.add("the name %q stands for the running machine", HostName)
	}
	if c.at("from"); r.From != "" && !nameRule.MatchString(r.From) && !isReference(r.From) {
		c.add("from %q is not the name of a recipe", r.From)
	} else if r.From != "" && r.From == r.Name {
		c.add("recipe %q is its own parent", r.Name)
	}
}

func (c *checker) packages() {
	if len(c.r.Packages) > maxPackages {
		c.at("packages").add("%d packages, at most %d are taken", len(c.r.Packages), maxPackages)
		return
	}
	seen := map[string]bool{}
	for i, p := range c.r.Packages {
		c.at("packages", strconv.Itoa(i))
		name, version, pinned := strings.Cut(p, "=")
		switch {
		case strings.Contains(name, ":"):
			c.add("package %q: other architectures than the machine's cannot be asked for", p)
		case !packageRule.MatchString(name):
			c.add("%q is not the name of a package", name)
		case pinned && !versionRule.MatchString(version):
			c.add("package %q: %q is not a version", p, version)
		case seen[name]:
			c.add("package %q is listed twice", name)
		}
		seen[name] = true
	}
}

func (c *checker) source() {
	s := c.r.Source
	kinds := 0
	for _, v := range []string{s.Suite, s.Directory, s.Tarball} {
		if v != "" {
			kinds++
		}
	}
	if kinds > 1 {
		c.at("source").add("suite, directory and tarball exclude each other")
	}
	if kinds == 0 && c.r.From == "" {
		c.at("source").add("recipe %q has no parent, so [source] has to say suite, directory or tarball", c.r.Name)
	}
	if c.at("source", "suite"); s.Suite != "" && !suiteRule.MatchString(s.Suite) {
		c.add("%q is not the name of a suite", s.Suite)
	}
	for i, comp := range s.Components {
		if c.at("source", "components", strconv.Itoa(i)); !suiteRule.MatchString(comp) {
			c.add("%q is not the name of a component", comp)
		}
	}
	if c.at("source", "mirror"); s.Mirror != "" {
		if err := checkMirror(s.Mirror); err != nil {
			c.add("mirror %q: %v", s.Mirror, err)
		}
	}
	if c.at("source", "keyring"); strings.ContainsRune(s.Keyring, 0) {
		c.add("keyring holds a NUL byte")
	}
	if s.Tarball != "" && s.SHA256 == "" {
		c.at("source", "tarball").add("a tarball needs sha256 beside it")
	}
	if c.at("source", "sha256"); s.SHA256 != "" {
		if s.Tarball == "" {
			c.add("sha256 belongs to a tarball, and there is none")
		} else if !hashRule.MatchString(s.SHA256) {
			c.add("sha256 has to be 64 lower-case hex digits")
		} else if strings.Trim(s.SHA256, "0") == "" {
			// deb.FromTar takes a sum of zeros for none.
			c.add("sha256 of zeros is no file's hash")
		}
	}
	if s.Directory != "" || s.Tarball != "" {
		if len(c.r.Packages) > 0 {
			c.at("packages").add("packages come from a suite; put them into a recipe of its own with from = %q", c.r.Name)
		}
		if s.Mirror != "" || s.Keyring != "" || len(s.Components) > 0 || s.Recommends != nil || s.Updates != nil || s.AllowExpired {
			c.at("source").add("mirror, keyring, components, recommends, updates and allow_expired go with a suite only")
		}
	}
}

func checkMirror(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("not a URL")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file":
		return fmt.Errorf("the scheme has to be http, https or file")
	case u.User != nil:
		return fmt.Errorf("a recipe is no place for a password")
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("query and fragment have no meaning here")
	case (u.Scheme == "file") != (u.Host == ""):
		return fmt.Errorf("http and https name a host, file does not (file:///path)")
	case u.Scheme == "file" && !path.IsAbs(u.Path):
		return fmt.Errorf("the path has to be absolute")
	}
	return nil
}

func (c *checker) fetch() {
	seen := map[string]bool{}
	if len(c.r.Fetch) > maxFetch {
		c.at("fetch").add("%d files, at most %d are fetched", len(c.r.Fetch), maxFetch)
		return
	}
	for i, f := range c.r.Fetch {
		at := func(key string) *checker { return c.at("fetch", strconv.Itoa(i), key) }
		if err := checkMirror(f.URL); err != nil && (f.Lock == "" || f.URL != "") {
			at("url").add("url %q: %v", f.URL, err)
		}
		switch {
		case f.Lock != "" && languages.Kind(f.Lock) == "":
			at("lock").add("%q is no lock file that can be read; there are %s", path.Base(f.Lock), strings.Join(languages.Locks(), ", "))
			continue
		case f.Lock != "" && (f.SHA256 != "" || f.Size != 0):
			at("lock").add("a lock file says the hashes itself: leave sha256 and size away")
		case f.Lock == "" && !hashRule.MatchString(f.SHA256):
			at("sha256").add("sha256 has to be 64 lower-case hex digits")
		case f.Lock == "" && (f.Size <= 0 || f.Size > maxFetchSize):
			at("size").add("size has to be the file's bytes, at most %d", int64(maxFetchSize))
		}
		switch name := f.FileName(); {
		case !fileRule.MatchString(name):
			at("name").add("%q is not the name of a file: use letters, digits and . _ + - @ ~, a letter or digit first", name)
		case seen[name]:
			at("name").add("two files are called %q", name)
		default:
			seen[name] = true
		}
	}
	if len(c.r.Fetch) > 0 && len(c.r.Finish.Run) == 0 {
		c.at("fetch").add("nothing reads what is fetched: [finish] has no run")
	}
}

// FileName is what the file is called in FetchedDir.
func (f Fetch) FileName() string {
	switch {
	case f.Name != "":
		return f.Name
	case f.Lock != "":
		return languages.Kind(f.Lock)
	}
	return path.Base(f.URL)
}

func (c *checker) requires() {
	for _, p := range c.r.Requires.Check() {
		if c.at("requires", p.Key); p.Index >= 0 {
			c.at("requires", p.Key, strconv.Itoa(p.Index))
		}
		c.add("%s", p.Text)
	}
}

func (c *checker) finish() {
	for i, s := range c.r.Finish.Steps {
		if c.at("finish", "steps", strconv.Itoa(i)); !stepRule.MatchString(s) {
			c.add("%q is not the name of a finishing step", s)
		}
	}
	for i, s := range c.r.Finish.Run {
		if c.at("finish", "run", strconv.Itoa(i)); strings.TrimSpace(s) == "" || strings.ContainsRune(s, 0) {
			c.add("a command must not be empty or hold a NUL byte")
		}
	}
}

func (c *checker) rest() {
	for i, p := range c.r.Exclude.Paths {
		c.at("exclude", "paths", strconv.Itoa(i))
		if _, err := path.Match(p, ""); err != nil {
			c.add("%q is not a pattern: a bracket or backslash is left open", p)
		} else if p == "" || slices.Contains(strings.Split(p, "/"), "..") {
			c.add("%q is not a path inside the image", p)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.r.Environment)) {
		if c.at("environment", k); !envRule.MatchString(k) {
			c.add("%q is not the name of an environment variable", k)
		} else if strings.ContainsRune(c.r.Environment[k], 0) {
			c.add("the value of %s holds a NUL byte", k)
		}
	}
}
