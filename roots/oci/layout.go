package oci

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxManifest bounds a manifest, an index and a configuration, in bytes.
const maxManifest = 8 << 20

// Index reads the index of a layout; fs.ErrNotExist is wrapped where there is
// none, as in what docker save writes.
func (f *Files) Index() (*v1.IndexManifest, error) {
	b, err := f.read(layoutFile, maxManifest)
	if err != nil {
		return nil, err
	}
	var v struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(b, &v); err != nil || !strings.HasPrefix(v.Version, layoutFirst) {
		return nil, fmt.Errorf("%s: %w: a layout of version %.20q, this program reads 1", layoutFile, ErrRefused, v.Version)
	}
	if b, err = f.read(indexFile, maxManifest); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: it has no %s", ErrRefused, indexFile)
		}
		return nil, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", indexFile, ErrRefused, err)
	}
	return index, nil
}

// Manifest reads the manifest, index or configuration that digest names.
func (f *Files) Manifest(digest v1.Hash) ([]byte, error) {
	r, err := f.Blob(digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err == nil && len(b) > maxManifest {
		err = fmt.Errorf("blob %s: %w: more than %d bytes of a manifest", digest, ErrRefused, maxManifest)
	}
	return b, err
}

// Blob opens the blob that digest names. Its digest is checked when it is read to
// its end, which then is ErrRefused in place of io.EOF.
func (f *Files) Blob(digest v1.Hash) (io.ReadCloser, error) {
	if digest.Algorithm != "sha256" || len(digest.Hex) != 2*sha256.Size || strings.Trim(digest.Hex, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("blob %.100q: %w: only sha256 is known", digest.String(), ErrRefused)
	}
	r, _, err := f.Open(blobs + "/" + digest.Hex)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("blob %s: %w: it is not there", digest, ErrRefused)
	}
	if err != nil {
		return nil, err
	}
	return &checked{r, sha256.New(), digest.Hex}, nil
}

type checked struct {
	io.ReadCloser
	h    hash.Hash
	want string
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.h.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.h.Sum(nil)) != c.want {
		err = fmt.Errorf("blob sha256:%s: %w: it has another digest", c.want, ErrRefused)
	}
	return n, err
}
