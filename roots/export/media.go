package export

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/roots/registry"
	"ninefold/roots/store"
)

// MediaImages is the directory of the images in what Media writes: an OCI layout.
const MediaImages = "images"

// Media writes images into a directory that is not there or empty, for a machine without network,
// with other files beside them, by path, and a README that says what to type there. The directory appears whole
// or not at all.
func Media(ctx context.Context, s *store.Store, images []registry.Named, beside map[string][]byte, to string) error {
	err := directory(strings.TrimSuffix(to, "/"), func(aside string) error {
		dir := filepath.Join(aside, MediaImages)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := registry.ExportAll(ctx, s, images, dir); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(beside)) {
			file := filepath.Join(aside, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(file, beside[name], 0o644); err != nil {
				return err
			}
		}
		return os.WriteFile(filepath.Join(aside, "README"), []byte(mediaText(images, beside)), 0o644)
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	return nil
}

// mediaText tells a person with nothing but the directory what to do.
func mediaText(images []registry.Named, beside map[string][]byte) string {
	var b strings.Builder
	b.WriteString("Images of Ninefold for a machine without network:\n\n")
	for _, i := range images {
		fmt.Fprintf(&b, "    %s  %s\n", i.Reference, i.ID)
	}
	b.WriteString("\nOn the machine, with Ninefold installed, in this directory:\n\n")
	steps := []struct{ kind, why string }{
		{"trust.d", "the keys whose signatures are to count; look at each before, whoever has its other half can give you images"},
		{"recipes", "what the images were built from"},
		{"profiles", "what logins and sessions can be in them"},
	}
	for _, step := range steps {
		for name := range beside {
			if strings.HasPrefix(name, step.kind+"/") {
				fmt.Fprintf(&b, "    # %s\n    sudo mkdir -p /etc/ninefold/%s\n    sudo cp %s/* /etc/ninefold/%[2]s/\n", step.why, step.kind, step.kind)
				break
			}
		}
	}
	b.WriteString("    # every image is checked against these keys, and taken only then\n    sudo sessionctl image import --media .\n")
	return b.String()
}
