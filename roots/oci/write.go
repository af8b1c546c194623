package oci

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// RefName is the annotation that holds what an image of a layout is called
// (OCI image spec, annotations.md).
const RefName = "org.opencontainers.image.ref.name"

const (
	layoutFile  = "oci-layout"
	indexFile   = "index.json"
	layoutText  = `{"imageLayoutVersion":"1.0.0"}`
	blobs       = "blobs/sha256"
	layoutFirst = "1." // versions that this program reads
)

// Writer makes a layout in an empty directory.
type Writer struct{ dir string }

// NewWriter begins a layout in dir.
func NewWriter(dir string) (*Writer, error) {
	w := &Writer{dir}
	if err := os.MkdirAll(filepath.Join(dir, blobs), 0o755); err != nil {
		return nil, err
	}
	return w, os.WriteFile(filepath.Join(dir, layoutFile), []byte(layoutText), 0o644)
}

// Blob writes a blob. What is there already is not written again.
func (w *Writer) Blob(digest v1.Hash, r io.Reader) error {
	if digest.Algorithm != "sha256" {
		return fmt.Errorf("blob %s: only sha256 is known", digest)
	}
	f, err := os.OpenFile(filepath.Join(w.dir, blobs, digest.Hex), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// Has reports whether a blob is there.
func (w *Writer) Has(digest v1.Hash) bool {
	_, err := os.Lstat(filepath.Join(w.dir, blobs, digest.Hex))
	return err == nil
}

// Index says which blobs are the images.
func (w *Writer) Index(images ...v1.Descriptor) error {
	b, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: images})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, indexFile), b, 0o644)
}

// Archive writes the layout in dir as a tar. The same files give the same bytes.
func Archive(dir string, w io.Writer) error {
	list, err := os.ReadDir(filepath.Join(dir, blobs))
	if err != nil {
		return err
	}
	names := []string{layoutFile, indexFile}
	for _, e := range list {
		names = append(names, blobs+"/"+e.Name())
	}
	slices.Sort(names[2:])
	t := tar.NewWriter(w)
	for _, d := range []string{"blobs/", blobs + "/"} {
		if err := t.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeDir, Name: d, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := member(t, dir, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return t.Close()
}

func member(t *tar.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: 0o644, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}
