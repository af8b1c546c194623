package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Media types. A new layout gets new ones, which older programs refuse.
const (
	// ArtifactType marks the manifest that holds Ninefold's own part.
	ArtifactType = "application/vnd.ninefold.image.v1"
	// DocumentType is a Document as JSON, compressed.
	DocumentType types.MediaType = "application/vnd.ninefold.image.v1+json.zstd"
	// RecordsType are encodings of packages, as netstrings, compressed.
	RecordsType types.MediaType = "application/vnd.ninefold.packages.v1.zstd"
)

const (
	documentVersion = 2         // 1 has a blob for the record of each package
	maxDocument     = 128 << 20 // bytes, uncompressed
	maxChain        = 64
	// maxSignatures bounds what one image brings along.
	maxSignatures = 1 << 17
)

var (
	// ErrRefused: what the registry sent is not what it says it is, or not
	// what an image from outside may hold.
	ErrRefused = errors.New("refused")
	// ErrNotOurs: the reference is no image of Ninefold.
	ErrNotOurs = errors.New("not an image of Ninefold")
	// ErrNameless: nothing says what the image is to be called.
	ErrNameless = errors.New("an image without a name")
	// ErrPlatform: an image of containers is for other machines.
	ErrPlatform = errors.New("not for this machine")
	// ErrVersion: a newer program pushed it.
	ErrVersion = errors.New("pushed by a newer version of this program")
)

// Document says what an image is made of and which blobs that lies in.
type Document struct {
	Version int `json:"version"`
	// Images are the canonical manifests of the chain, root first.
	Images []string `json:"images"`
	// Packages are those of all images, each once.
	Packages   []Package   `json:"packages"`
	Signatures []Signature `json:"signatures,omitempty"`
}

// Package is where one package lies.
type Package struct {
	ID pkg.Digest `json:"id"`
	// Record is the blob that holds its record, among others.
	Record Blob `json:"record"`
	Files  Blob `json:"files"`
}

// Blob names a blob; Size is that of the blob, in bytes.
type Blob struct {
	Digest pkg.Digest `json:"digest"`
	Size   int64      `json:"size"`
}

// Signature is an envelope over a package or an image.
type Signature struct {
	Digest   pkg.Digest `json:"digest"`
	Envelope []byte     `json:"envelope"`
}

// encode returns d as JSON.
func (d *Document) encode() ([]byte, error) { return json.Marshal(d) }

// ParseDocument reads a Document and returns the chain of its images, root
// first. The document names exactly the packages of the chain.
func ParseDocument(b []byte) (*Document, []*image.Manifest, error) {
	if err := bounded(b, maxThings); err != nil {
		return nil, nil, fmt.Errorf("the image's document: %w", err)
	}
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, nil, fmt.Errorf("%w: the image's document: %w", ErrRefused, err)
	}
	if v.Version > documentVersion {
		return nil, nil, fmt.Errorf("%w: version %d, this program knows up to %d", ErrVersion, v.Version, documentVersion)
	}
	d := &Document{}
	j := json.NewDecoder(bytes.NewReader(b))
	j.DisallowUnknownFields()
	if err := j.Decode(d); err != nil {
		return nil, nil, fmt.Errorf("%w: the image's document: %w", ErrRefused, err)
	}
	chain, err := d.check()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the image's document: %w", ErrRefused, err)
	}
	return d, chain, nil
}

func (d *Document) check() ([]*image.Manifest, error) {
	if d.Version < 1 {
		return nil, fmt.Errorf("version %d, want 1 to %d", d.Version, documentVersion)
	}
	if len(d.Images) == 0 || len(d.Images) > maxChain {
		return nil, fmt.Errorf("a chain of %d images, want 1 to %d", len(d.Images), maxChain)
	}
	missing := map[pkg.Digest]bool{}
	var chain []*image.Manifest
	var parent image.ID
	for _, text := range d.Images {
		m, err := image.Decode([]byte(text))
		if err != nil {
			return nil, err
		}
		if m.Parent != parent {
			return nil, fmt.Errorf("image %s stands on image %s, and comes after %s", m.Name, m.Parent.Short(), parent.Short())
		}
		parent = m.ID()
		chain = append(chain, m)
		for _, id := range m.Digests() {
			missing[id] = true
		}
	}
	for _, p := range d.Packages {
		if !missing[p.ID] {
			return nil, fmt.Errorf("package %s is named twice, or is in no image", p.ID.Short())
		}
		delete(missing, p.ID)
		for _, b := range []Blob{p.Record, p.Files} {
			if b.Size <= 0 || b.Digest.IsZero() {
				return nil, fmt.Errorf("package %s has a blob of %d bytes", p.ID.Short(), b.Size)
			}
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%d packages of its images are not there", len(missing))
	}
	if len(d.Signatures) > maxSignatures {
		return nil, fmt.Errorf("%d signatures, the limit is %d", len(d.Signatures), maxSignatures)
	}
	return chain, d.checkSignatures(chain)
}

// checkSignatures wants signatures over what the document brings, and as many
// as a store keeps.
func (d *Document) checkSignatures(chain []*image.Manifest) error {
	over := map[pkg.Digest]int{}
	for _, m := range chain {
		over[m.ID()] = store.MaxSignatures
	}
	for _, p := range d.Packages {
		over[p.ID] = store.MaxSignatures
	}
	for _, s := range d.Signatures {
		if len(s.Envelope) == 0 || len(s.Envelope) > store.MaxSignature {
			return fmt.Errorf("a signature over %s of %d bytes", s.Digest.Short(), len(s.Envelope))
		}
		if over[s.Digest] == 0 {
			return fmt.Errorf("too many signatures over %s, or it is not part of the image", s.Digest.Short())
		}
		over[s.Digest]--
	}
	return nil
}

// checkForeign refuses what no package from outside may hold.
func checkForeign(p *pkg.Package) error {
	for i := range p.Entries {
		e := &p.Entries[i]
		if e.Kind == pkg.Char || e.Kind == pkg.Block {
			return fmt.Errorf("%w: package %s: /%s is a device", ErrRefused, p.Name, e.Path)
		}
		for _, x := range e.Xattrs {
			if x.Name != "security.capability" && !strings.HasPrefix(x.Name, "user.") {
				return fmt.Errorf("%w: package %s: /%s has the attribute %q", ErrRefused, p.Name, e.Path, x.Name)
			}
		}
	}
	return nil
}

func hashOf(d pkg.Digest) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: d.String()} }
