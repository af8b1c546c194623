package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/internal/regular"
	"ninefold/roots/export"
	"ninefold/roots/image"
	"ninefold/roots/oci"
	"ninefold/roots/registry"
	"ninefold/roots/store"
	"ninefold/sessiond/manager"
)

// maxBeside bounds one file that is laid beside the images, in bytes. A lock of a desktop has some hundred kilobytes.
const maxBeside = 16 << 20

// exportMedia is image export --media.
func (r *request) exportMedia(ctx context.Context, m *manager.Manager, s *store.Store, names []string, dir, form, profiles string) error {
	if len(names) == 0 || form != "" {
		return exit.Usagef("usage: sessionctl image export --media DIR IMAGE...", "image export --media: it takes images, and no form")
	}
	var images []registry.Named
	beside := map[string][]byte{}
	for _, name := range names {
		if !image.ValidReference(name) || strings.Contains(name, "@") {
			return exit.Usagef("image tag gives an image a name", "image export --media: %q is no name that the images could be found by there", name)
		}
		id, err := s.Resolve(name)
		if err != nil {
			return err
		}
		images = append(images, registry.Named{ID: id, Reference: name})
		chain, err := s.Chain(id)
		if err != nil {
			return err
		}
		for _, one := range chain {
			// Of an image from elsewhere there is neither.
			for _, file := range []string{one.Name + ".toml", one.Name + ".lock"} {
				if err := lay(m, beside, "recipes", file, false); err != nil {
					return err
				}
			}
		}
	}
	for name := range strings.SplitSeq(profiles, ",") {
		if name != "" {
			if err := lay(m, beside, "profiles", name+".toml", true); err != nil {
				return err
			}
		}
	}
	keys, err := keyFiles(m)
	if err != nil {
		return err
	}
	for _, file := range keys {
		if err := lay(m, beside, "trust.d", file, true); err != nil {
			return err
		}
	}
	if err := export.Media(ctx, s, images, beside, dir); err != nil {
		return err
	}
	if r.json {
		return show.JSON(os.Stdout, map[string]any{"media": dir, "images": names})
	}
	return nil
}

// lay reads a file of the configuration, of the first directory that has it.
func lay(m *manager.Manager, beside map[string][]byte, kind, file string, must bool) error {
	if !fs.ValidPath(file) || strings.Contains(file, "/") {
		return exit.Usagef("", "%q is no name of a file in %s", file, kind)
	}
	for _, dir := range m.Config() {
		b, err := regular.Read(filepath.Join(dir, kind, file), maxBeside)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("lay %s/%s beside the images: %w", kind, file, err)
		}
		beside[kind+"/"+file] = b
		return nil
	}
	if must {
		return fmt.Errorf("%s/%s: %w in %s", kind, file, fs.ErrNotExist, strings.Join(m.Config(), ", "))
	}
	return nil
}

// keyFiles are the names of the files of trusted keys.
func keyFiles(m *manager.Manager) ([]string, error) {
	var out []string
	for _, dir := range m.Config() {
		list, err := os.ReadDir(filepath.Join(dir, "trust.d"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range list {
			if strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
				out = append(out, e.Name())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// media brings all images of a directory. It goes on after one that this machine does not take, and fails then.
func (i *importer) media(ctx context.Context, dir string) error {
	files, err := oci.Open(filepath.Join(dir, export.MediaImages))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, oci.ErrNotImage) {
			err = &exit.Error{Code: exit.BadInput, Err: err, Hint: "image export --media makes such a directory; image import takes a single image"}
		}
		return err
	}
	defer files.Close()
	references, err := registry.References(files)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	type brought struct {
		Reference string   `json:"reference"`
		ID        image.ID `json:"id"`
	}
	all := []brought{}
	var failed error
	for _, reference := range references {
		id, err := registry.ImportNamed(ctx, i.s, files, dir, reference, registry.Options{Accept: i.accept})
		if err != nil {
			failed = cmp.Or(failed, fmt.Errorf("%s: %w", dir, err))
			if ctx.Err() != nil {
				break
			}
			fmt.Fprintf(os.Stderr, "sessionctl: left out: %s\n", show.Plain(reference))
			continue
		}
		all = append(all, brought{reference, id})
		if !i.json {
			fmt.Printf("%s  %s\n", reference, id)
		}
	}
	if i.json {
		return errors.Join(show.JSON(os.Stdout, all), failed)
	}
	return failed
}
