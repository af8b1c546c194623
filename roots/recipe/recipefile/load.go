// Package recipefile finds recipes: in directories, and in git repositories
// at a commit. Package recipe itself is pure.
package recipefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/internal/regular"
	"ninefold/internal/tomlfile"
	"ninefold/roots/recipe"
)

// maxRecipes bounds how many recipes one directory may hold.
const maxRecipes = 10_000

// Load reads every *.toml of the directories. A file of an earlier directory
// hides one of the same name in a later one, as /etc hides /usr/lib; a
// directory that is not there is empty. A recipe has to carry the name of its
// file, because the lock beside it has it, too. Relative paths in [source] are
// taken from the directory of the recipe. All errors of all files are
// returned together.
func Load(dirs ...string) (*recipe.Set, error) {
	var recipes []*recipe.Recipe
	var errs []error
	seen := map[string]bool{}
	for _, dir := range dirs {
		names, err := tomlFiles(dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			r, err := File(filepath.Join(dir, name))
			if err != nil {
				errs = append(errs, err)
				continue
			}
			recipes = append(recipes, r)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return recipe.NewSet(recipes...)
}

// File reads one recipe, under the rules of Load.
func File(path string) (*recipe.Recipe, error) {
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read recipe: %w", err)
	}
	r, err := recipe.Parse(path, data)
	if err != nil {
		return nil, err
	}
	if want := strings.TrimSuffix(filepath.Base(path), ".toml"); r.Name != want {
		return nil, &tomlfile.Error{File: path, Position: tomlfile.Index(path, data).At("name"), Err: recipe.ErrInvalid,
			Msg: fmt.Sprintf("the recipe is called %q and its file %q; give both the same name", r.Name, want)}
	}
	paths := []*string{&r.Source.Directory, &r.Source.Tarball, &r.Source.Keyring}
	for i := range r.Fetch {
		paths = append(paths, &r.Fetch[i].Lock)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			abs, err := filepath.Abs(filepath.Join(filepath.Dir(path), *p))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			*p = abs
		}
	}
	return r, nil
}

// read reads at most what the parser takes, so that a wrong name (a disk
// image, /dev/zero) costs nothing.
func read(path string) ([]byte, error) {
	data, err := regular.Read(path, tomlfile.MaxSize)
	switch {
	case errors.Is(err, regular.ErrTooLarge):
		return nil, fmt.Errorf("%w: %w", tomlfile.ErrTooLarge, err)
	case errors.Is(err, regular.ErrNot):
		return nil, fmt.Errorf("%w: %w", recipe.ErrInvalid, err)
	}
	return data, err
}

func tomlFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read recipes: %w", err)
	}
	var names []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".toml") && !strings.HasPrefix(n, ".") && !e.IsDir() {
			names = append(names, n)
		}
	}
	if len(names) > maxRecipes {
		return nil, fmt.Errorf("read recipes: %s holds %d recipes, at most %d are read", dir, len(names), maxRecipes)
	}
	slices.Sort(names)
	return names, nil
}
