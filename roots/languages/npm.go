package languages

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// npmPackage is an entry of "packages" in a package-lock.json ("package-lock.json" in npm's manual).
type npmPackage struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Resolved  string   `json:"resolved"`
	Integrity string   `json:"integrity"`
	Link      bool     `json:"link"`
	InBundle  bool     `json:"inBundle"`
	Optional  bool     `json:"optional"`
	OS        []string `json:"os"`
	CPU       []string `json:"cpu"`
	Libc      []string `json:"libc"`
}

var (
	npmName    = regexp.MustCompile(`^(@[A-Za-z0-9~_.-]+/)?[A-Za-z0-9~_-][A-Za-z0-9~_.-]*$`)
	npmVersion = regexp.MustCompile(`^[0-9][A-Za-z0-9.+-]*$`)
)

// npm reads what npm 7 and newer writes. The lock file is laid again, with the addresses of the fetched
// files in place of the registry's, so that `npm ci --offline` takes these.
func npm(text []byte, registry, dir string) (*Plan, error) {
	var lock map[string]json.RawMessage
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, err
	}
	var version int
	if err := json.Unmarshal(lock["lockfileVersion"], &version); err != nil || version < 2 || version > 3 {
		return nil, fmt.Errorf("its lockfileVersion is %.20q, want 2 or 3: run npm install --package-lock-only with npm 7 or newer", lock["lockfileVersion"])
	}
	var packages map[string]json.RawMessage
	if err := json.Unmarshal(lock["packages"], &packages); err != nil {
		return nil, fmt.Errorf("packages: %w", err)
	}
	p := &Plan{}
	for where, raw := range packages {
		var one npmPackage
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		i := strings.LastIndex(where, "node_modules/")
		if i < 0 || one.Link || one.InBundle || one.elsewhere() {
			continue // the project and parts of it, what another package brings, and what is not for this machine
		}
		if one.Name == "" {
			one.Name = where[i+len("node_modules/"):]
		}
		f, err := one.file(registry)
		if err != nil {
			return nil, err
		}
		p.Files = append(p.Files, f)
		var all map[string]any
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, err
		}
		all["resolved"] = "file:" + path.Join(dir, f.Path)
		if packages[where], err = json.Marshal(all); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(p.Files, func(a, b File) int { return strings.Compare(a.Path+a.Package, b.Path+b.Package) })
	// npm 6 reads "dependencies" alone, and would ask the registry.
	delete(lock, "dependencies")
	var err error
	if lock["packages"], err = json.Marshal(packages); err != nil {
		return nil, err
	}
	text, err = json.MarshalIndent(lock, "", "  ")
	p.Texts = map[string][]byte{"package-lock.json": append(text, '\n')}
	return p, err
}

func (n *npmPackage) file(registry string) (File, error) {
	if !npmName.MatchString(n.Name) || !npmVersion.MatchString(n.Version) {
		return File{}, fmt.Errorf("%q in version %q is no package of a registry", n.Name, n.Version)
	}
	what := n.Name + " " + n.Version
	address := registry + "/" + n.Name + "/-/" + path.Base(n.Name) + "-" + n.Version + ".tgz"
	if n.Resolved != "" {
		u, err := url.Parse(n.Resolved)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			return File{}, fmt.Errorf("%s comes from %q: only packages of a registry have a hash that can be checked; take a released version of it, or [[fetch]] its archive by url", what, n.Resolved)
		}
		// The usual registry stands for whichever one is asked, as it does for npm.
		if u.Host != "registry.npmjs.org" {
			address = n.Resolved
		}
	}
	sum, err := integrity(n.Integrity)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w: remove node_modules and the lock file, and run npm install --package-lock-only", what, err)
	}
	return File{Package: what, URL: address, Path: sum.String() + ".tgz", Sum: sum}, nil
}

// integrity is the strongest hash of a list of them (W3C Subresource Integrity).
func integrity(text string) (Sum, error) {
	best := Sum{}
	for _, word := range strings.Fields(text) {
		kind, value, _ := strings.Cut(word, "-")
		value, _, _ = strings.Cut(value, "?")
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil || kind != "sha256" && kind != "sha384" && kind != "sha512" {
			continue
		}
		if sum, err := newSum(kind, raw); err == nil && sum.size > best.size {
			best = sum
		}
	}
	if best.size == 0 {
		return best, errors.New("it has no integrity with sha512, sha384 or sha256")
	}
	return best, nil
}

// elsewhere says that npm leaves the package out on a Debian of this processor.
func (n *npmPackage) elsewhere() bool {
	cpu := map[string]string{"amd64": "x64", "386": "ia32"}[runtime.GOARCH]
	if cpu == "" {
		cpu = runtime.GOARCH
	}
	return n.Optional && !(fits(n.OS, "linux") && fits(n.CPU, cpu) && fits(n.Libc, "glibc"))
}

// fits reads a list in package.json of what a package is for ("!x": for all but x).
func fits(list []string, have string) bool {
	asked := false
	for _, word := range list {
		switch {
		case word == "!"+have:
			return false
		case word == have || word == "any":
			return true
		}
		asked = asked || !strings.HasPrefix(word, "!")
	}
	return !asked
}
