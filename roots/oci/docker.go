package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// dockerFile is what docker save writes at the top of its archive
// (github.com/moby/docker-image-spec).
const dockerFile = "manifest.json"

// Saved is an image as docker save writes it.
type Saved struct {
	Config []byte   // of v1.ConfigFile
	Names  []string // by which the image was saved
	Layers []string // names of their files, lowest first
}

// Saved reads the one image of an archive of docker save.
func (f *Files) Saved() (*Saved, error) {
	b, err := f.read(dockerFile, maxManifest)
	if err != nil {
		return nil, err
	}
	var list []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", dockerFile, ErrRefused, err)
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("%s: %w: it holds %d images, want one", dockerFile, ErrRefused, len(list))
	}
	s := &Saved{Names: list[0].RepoTags}
	for _, l := range list[0].Layers {
		s.Layers = append(s.Layers, path.Clean(l))
	}
	if s.Config, err = f.read(path.Clean(list[0].Config), maxManifest); err != nil {
		return nil, fmt.Errorf("%s: %w: its configuration: %w", dockerFile, ErrRefused, err)
	}
	if _, err := v1.ParseConfigFile(bytes.NewReader(s.Config)); err != nil {
		return nil, fmt.Errorf("%s: %w: its configuration: %w", dockerFile, ErrRefused, err)
	}
	return s, nil
}
