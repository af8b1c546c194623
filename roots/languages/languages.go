package languages

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

var (
	// ErrLock says that a lock file cannot be read, or does not say enough to fetch what it names.
	ErrLock = errors.New("not a lock file that packages can be fetched by")
	// ErrHash says that a file is not what its hash says.
	ErrHash = errors.New("the file is not the one that the lock file names")
	// ErrGone says that a registry has no such file. Nothing here returns it; who fetches does.
	ErrGone = errors.New("the registry does not have it")
)

// MaxLock bounds a lock file, maxFiles what it may name.
const (
	MaxLock  = 32 << 20 // bytes
	maxFiles = 20_000
)

// MaxFile bounds each file that a lock file names, in bytes: none says how large they are.
const MaxFile = 1 << 30

// File is one that is fetched.
type File struct {
	// Package is what it is called, for people.
	Package string
	URL     string
	// Path is where it is laid, below the directory of its lock file.
	Path string
	Sum  Sum
}

// Plan is what a lock file asks for.
type Plan struct {
	Files []File
	// Texts are laid beside the files, by path: what the manager needs and nobody has to be
	// asked for.
	Texts map[string][]byte
}

// language is a package manager.
type language struct {
	kind string
	// lock and beside are names of files: the lock file, and the one beside it that managers
	// want to see, too.
	locks  []string
	beside string
	// registry is where packages are, unless the recipe or the lock file says so.
	registry string
	read     func(text []byte, registry, dir string) (*Plan, error)
}

var all = []language{
	{"npm", []string{"package-lock.json", "npm-shrinkwrap.json"}, "package.json", "https://registry.npmjs.org", npm},
	{"go", []string{"go.sum"}, "go.mod", "https://proxy.golang.org", gosum},
	{"cargo", []string{"Cargo.lock"}, "Cargo.toml", "https://static.crates.io/crates", cargo},
}

func of(lock string) (language, bool) {
	i := slices.IndexFunc(all, func(l language) bool { return slices.Contains(l.locks, path.Base(lock)) })
	if i < 0 {
		return language{}, false
	}
	return all[i], true
}

// Kind is the name of the manager that a lock file is of, by the file's own name; "" for none.
func Kind(lock string) string {
	l, _ := of(lock)
	return l.kind
}

// Locks are the names of the lock files that can be read.
func Locks() []string {
	var names []string
	for _, l := range all {
		names = append(names, l.locks...)
	}
	return names
}

// Beside is the name of the file that belongs beside a lock file, if it is there.
func Beside(lock string) string {
	l, _ := of(lock)
	return l.beside
}

// Read says what to fetch for a lock file, called name, from registry ("": the usual one), and what is
// laid in dir, where the manager will see it. Errors wrap ErrLock, and say what would help.
func Read(name string, text []byte, registry, dir string) (*Plan, error) {
	l, ok := of(name)
	if !ok {
		return nil, fmt.Errorf("%s: %w: it is called none of %s", name, ErrLock, strings.Join(Locks(), ", "))
	}
	if registry == "" {
		registry = l.registry
	}
	p, err := l.read(text, strings.TrimSuffix(registry, "/"), dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrLock, err)
	}
	if len(p.Files) > maxFiles {
		return nil, fmt.Errorf("%s: %w: it names %d files, at most %d are fetched", name, ErrLock, len(p.Files), maxFiles)
	}
	seen := map[string]bool{}
	p.Files = slices.DeleteFunc(p.Files, func(f File) bool {
		again := seen[f.Path]
		seen[f.Path] = true
		return again
	})
	return p, nil
}
