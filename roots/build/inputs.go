package build

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ninefold/roots/deb"
	"ninefold/roots/finish"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/recipe"
	"ninefold/roots/requires"
)

// buildVersion is part of the inputs; it changes when this package makes
// another image of them.
const buildVersion = 1

// checkSteps refuses a recipe that names a step that does not exist, before
// anything is downloaded for it.
func checkSteps(r *recipe.Recipe) error {
	for _, s := range r.Finish.Steps {
		if !finish.Known(s) {
			return fmt.Errorf("%s: finishing step %q is not known; there are %s: %w", r.File, s, strings.Join(finish.Names(), ", "), recipe.ErrInvalid)
		}
	}
	return nil
}

// inputs is the digest of everything that decides the image.
func (j *job) inputs() (pkg.Digest, error) {
	locked, err := j.lock.Digest()
	if err != nil {
		return pkg.Digest{}, err
	}
	host, err := j.hostFingerprint()
	if err != nil {
		return pkg.Digest{}, err
	}
	var declared []recipe.Declare
	for _, r := range j.chain {
		declared = append(declared, r.Declare)
	}
	text, err := json.Marshal(struct {
		Build, Finish string
		Converter     int
		Name          string
		Parent        image.ID
		Lock          pkg.Digest
		Imported      []image.Ref
		Host          string
		Steps         finishSteps
		Declared      []recipe.Declare
		Exclude       recipe.Exclude
		Environment   map[string]string
		SHA256        string
		Requires      requires.List `json:",omitzero"`
		Fetch         []string      `json:",omitempty"`
	}{
		fmt.Sprint(buildVersion), finish.Fingerprint(), deb.ConverterVersion, j.recipe.Name, j.parent, locked, j.imported, host,
		finishSteps{j.recipe.Finish.Steps == nil, j.recipe.Finish.Steps, j.recipe.Finish.Run},
		declared, j.recipe.Exclude, j.recipe.Environment, j.recipe.Source.SHA256, j.recipe.Requires, j.fetched(),
	})
	if err != nil {
		return pkg.Digest{}, err
	}
	return sha256.Sum256(text), nil
}

// finishSteps tells "all steps" from "none", which are both empty.
type finishSteps struct {
	All        bool
	Steps, Run []string
}

// known returns the image that these inputs made before, if it is still there.
func (j *job) known(inputs pkg.Digest) (image.ID, bool) {
	b, err := os.ReadFile(filepath.Join(j.builds(), inputs.String()))
	if err != nil {
		return image.ID{}, false
	}
	id, err := pkg.ParseDigest(strings.TrimSpace(string(b)))
	if err != nil {
		return image.ID{}, false
	}
	// The whole chain is read: a record that a collection took away, or that
	// is damaged, means that the work is done again.
	if _, err := j.Store.Chain(id); err != nil {
		return image.ID{}, false
	}
	return id, true
}

// remember notes which image the inputs made. The note is a hint that is
// checked when it is used, so it needs no sync.
func (j *job) remember(inputs pkg.Digest) error {
	if err := os.MkdirAll(j.builds(), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(j.builds(), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(j.image.ID.String() + "\n")
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(j.builds(), inputs.String()))
}
