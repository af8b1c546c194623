package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"ninefold/internal/progress"
	"ninefold/roots/image"
	"ninefold/roots/layer"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Push sends image id and its ancestors to reference, host/name:tag. Blobs
// that the registry has are neither packed nor sent again, and what others
// signed of the same image there stays. The tag moves last.
func Push(ctx context.Context, s *store.Store, id image.ID, reference string, o Options) error {
	to, err := newSink(reference, o)
	if err != nil {
		return err
	}
	there := &reading{to.remoteSource, o.firstWait()}
	if err := send(ctx, s, id, to, there); err != nil {
		return fmt.Errorf("push to %s: %w", reference, err)
	}
	return nil
}

// send gives image id and its ancestors to a sink. there is read for what lies
// where they go; nil is nothing.
func send(ctx context.Context, s *store.Store, id image.ID, to sink, there *reading) error {
	return (&push{s: s, to: to, there: there}).do(ctx, id)
}

func (p *push) do(ctx context.Context, id image.ID) error {
	s := p.s
	lease, err := s.Lease(id)
	if err != nil {
		return err
	}
	defer lease.Close()
	var remove func()
	if p.temp, remove, err = s.TempDir("push"); err != nil {
		return err
	}
	defer remove()
	return p.run(ctx, id)
}

// sink takes blobs, and then the manifests that name them.
type sink interface {
	has(ctx context.Context, b Blob) (bool, error)
	// blob takes what a manifest names. A file of it is gone afterwards.
	blob(ctx context.Context, b *blob) error
	manifest(ctx context.Context, b *blob) error
	// top takes the index, which names the manifests, last.
	top(ctx context.Context, b *blob) error
}

type remoteSink struct {
	*remoteSource
	uploads *uploads
	pusher  *remote.Pusher
}

func newSink(reference string, o Options) (*remoteSink, error) {
	t, err := target(reference)
	if err != nil {
		return nil, err
	}
	from, err := newRemote(t, options(t, o))
	if err != nil {
		return nil, err
	}
	pusher, err := remote.NewPusher(options(t, o)...)
	return &remoteSink{from, newUploads(t.Context(), o), pusher}, err
}

func (r *remoteSink) blob(ctx context.Context, b *blob) error {
	there, err := r.has(ctx, Blob{b.digest, b.size})
	if err != nil || there {
		return err
	}
	return r.uploads.send(ctx, b)
}

func (r *remoteSink) manifest(ctx context.Context, b *blob) error {
	return r.pusher.Push(ctx, r.ref.Context().Digest(hashOf(b.digest).String()), manifest{b})
}

func (r *remoteSink) top(ctx context.Context, b *blob) error {
	return r.pusher.Push(ctx, r.ref, manifest{b})
}

type push struct {
	s      *store.Store
	to     sink
	there  *reading
	temp   string
	serial atomic.Int64
	// unsigned leaves out what the store has of signatures.
	unsigned bool
}

// sent are the two blobs that a package lies in.
type sent struct{ record, files *blob }

func (p *push) run(ctx context.Context, id image.ID) error {
	chain, err := p.s.Chain(id)
	if err != nil {
		return err
	}
	built, err := p.s.Built(ctx, chain)
	if err != nil {
		return err
	}
	tree, err := image.Flatten(built)
	if err != nil {
		return err
	}
	d := &Document{Version: documentVersion}
	var ids []pkg.Digest
	var stack []*pkg.Package
	seen := map[pkg.Digest]bool{}
	var levels []int // where the packages of each image begin
	for i, b := range built {
		levels = append(levels, len(ids))
		text, err := chain[i].Encode()
		if err != nil {
			return err
		}
		d.Images = append(d.Images, string(text))
		all := b.Packages
		if b.Finishing != nil {
			all = append(all, b.Finishing)
		}
		for j, one := range chain[i].Digests() {
			if !seen[one] {
				seen[one] = true
				ids, stack = append(ids, one), append(stack, all[j])
			}
		}
	}
	blobs, err := p.packages(ctx, ids, stack)
	if err != nil {
		return err
	}
	// Apart for each image of the chain, so that images share those of their parents.
	for i, begin := range levels {
		end := len(ids)
		if i+1 < len(levels) {
			end = levels[i+1]
		}
		if err := p.records(ctx, stack[begin:end], blobs[begin:end]); err != nil {
			return err
		}
	}
	fix, err := p.layer(ctx, correction(stack, tree))
	if err != nil {
		return err
	}
	for i, b := range blobs {
		d.Packages = append(d.Packages, Package{ID: ids[i], Record: Blob{b.record.digest, b.record.size}, Files: Blob{b.files.digest, b.files.size}})
	}
	if !p.unsigned {
		if d.Signatures, err = p.signatures(d, chain); err != nil {
			return err
		}
	}
	if err := p.keep(ctx, d, id); err != nil {
		return err
	}
	return p.manifests(ctx, d, blobs, fix, chain)
}

func (p *push) packages(ctx context.Context, ids []pkg.Digest, stack []*pkg.Package) ([]sent, error) {
	out := make([]sent, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	var done atomic.Int64
	for i, one := range stack {
		g.Go(func() error {
			err := p.send(ctx, one, ids[i], &out[i])
			if err != nil {
				return fmt.Errorf("package %s: %w", one.Name, err)
			}
			p.s.Progress().Update(progress.Update{Stage: "push", Item: one.Name, Done: done.Add(1), Total: int64(len(ids)), Unit: "packages"})
			return nil
		})
	}
	return out, g.Wait()
}

// packed is the note that the store keeps of a package that was sent: the same
// files are the same blob another time, as long as format is.
type packed struct {
	Format int        `json:"format"`
	Files  Blob       `json:"files"`
	Diff   pkg.Digest `json:"diff"` // of the files, uncompressed
}

const packedFormat = 2

// send sends the files of a package.
func (p *push) send(ctx context.Context, one *pkg.Package, id pkg.Digest, out *sent) error {
	note := &packed{}
	if json.Unmarshal(p.s.Note(store.Packed, id), note) == nil && note.Format == packedFormat {
		there, err := p.to.has(ctx, note.Files)
		if err != nil {
			return err
		}
		if there {
			out.files = &blob{digest: note.Files.Digest, diff: note.Diff, size: note.Files.Size, media: types.OCILayerZStd}
			return nil
		}
	}
	var err error
	if out.files, err = p.layer(ctx, one.Entries); err != nil {
		return err
	}
	now := packed{packedFormat, Blob{out.files.digest, out.files.size}, out.files.diff}
	if now == *note {
		return nil
	}
	b, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return p.s.SetNote(store.Packed, id, b)
}

// layer packs and sends one layer.
func (p *push) layer(ctx context.Context, entries []pkg.Entry) (*blob, error) {
	path := filepath.Join(p.temp, strconv.FormatInt(p.serial.Add(1), 10))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	defer f.Close()
	b, err := pack(f, types.OCILayerZStd, func(w io.Writer) error { return layer.Write(ctx, p.s, entries, w) })
	if err != nil {
		return nil, err
	}
	b.file = path
	return b, p.to.blob(ctx, b)
}

// manifests sends what names the blobs: both manifests, and the index last.
func (p *push) manifests(ctx context.Context, d *Document, blobs []sent, fix *blob, chain []*image.Manifest) error {
	document, err := sendDocument(ctx, p.to, d)
	if err != nil {
		return err
	}
	empty := plain("application/vnd.oci.empty.v1+json", []byte("{}"))
	config, run, err := runnable(blobs, fix, chain)
	if err != nil {
		return err
	}
	art := artifact{Version: 2, MediaType: types.OCIManifestSchema1, ArtifactType: ArtifactType, Config: empty.descriptor(), Layers: []v1.Descriptor{document.descriptor()}}
	for i, b := range blobs {
		if i == 0 || blobs[i-1].record != b.record {
			art.Layers = append(art.Layers, b.record.descriptor())
		}
	}
	for _, b := range []*blob{empty, config} {
		if err := p.to.blob(ctx, b); err != nil {
			return err
		}
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	platforms := []*v1.Platform{{OS: "linux", Architecture: runtime.GOARCH}, {OS: "unknown", Architecture: "unknown"}}
	for i, m := range []any{run, art} {
		desc, err := sendManifest(ctx, p.to, m)
		if err != nil {
			return err
		}
		desc.Platform = platforms[i]
		if i == 1 {
			desc.ArtifactType = ArtifactType
		}
		index.Manifests = append(index.Manifests, desc)
	}
	return sendIndex(ctx, p.to, &index)
}

func sendDocument(ctx context.Context, to sink, d *Document) (*blob, error) {
	text, err := d.encode()
	if err != nil {
		return nil, err
	}
	b, err := packBytes(DocumentType, text)
	if err != nil {
		return nil, err
	}
	return b, to.blob(ctx, b)
}

// sendManifest returns what an index says of the manifest.
func sendManifest(ctx context.Context, to sink, m any) (v1.Descriptor, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return v1.Descriptor{}, err
	}
	b := plain(types.OCIManifestSchema1, raw)
	return b.descriptor(), to.manifest(ctx, b)
}

func sendIndex(ctx context.Context, to sink, index *v1.IndexManifest) error {
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return to.top(ctx, plain(types.OCIImageIndex, raw))
}

// artifact is an OCI manifest with the artifactType of version 1.1.
type artifact struct {
	Version      int             `json:"schemaVersion"`
	MediaType    types.MediaType `json:"mediaType"`
	ArtifactType string          `json:"artifactType"`
	Config       v1.Descriptor   `json:"config"`
	Layers       []v1.Descriptor `json:"layers"`
}

// manifest is a blob that is put as a manifest.
type manifest struct{ *blob }

// RawManifest implements remote.Taggable.
func (m manifest) RawManifest() ([]byte, error) { return m.data, nil }

func runnable(blobs []sent, fix *blob, chain []*image.Manifest) (*blob, *v1.Manifest, error) {
	c := v1.ConfigFile{Architecture: runtime.GOARCH, OS: "linux", RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{Cmd: []string{"/bin/sh"}}}
	m := &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	add := func(b *blob) {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, hashOf(b.diff))
		m.Layers = append(m.Layers, b.descriptor())
	}
	for _, b := range blobs {
		add(b.files)
	}
	add(fix)
	c.Config.Env = environment(chain)
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, nil, err
	}
	config := plain(types.OCIConfigJSON, raw)
	m.Config = config.descriptor()
	return config, m, nil
}
