package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// rewrite puts a changed document in place of the one at reference, and the
// blobs that it names. records says what a package's blob of records is to hold.
func rewrite(t *testing.T, s *store.Store, reference string, version int, records func(record []byte) []byte) {
	t.Helper()
	to, err := newSink(reference, Options{})
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	there, err := (&reading{from: to.remoteSource}).find(t.Context())
	must(err)
	d := there.document
	d.Version = version
	for i := range d.Packages {
		one, err := s.Package(d.Packages[i].ID)
		must(err)
		b, err := one.Encode()
		must(err)
		blob, err := packBytes("application/vnd.ninefold.package.v1.zstd", records(b))
		must(err)
		must(to.blob(t.Context(), blob))
		d.Packages[i].Record = Blob{blob.digest, blob.size}
	}
	there.artifact.Layers = there.artifact.Layers[:1]
	must(there.send(t.Context(), to))
}

func threePackages(t *testing.T, s *store.Store) image.ID {
	t.Helper()
	base := addImage(t, s, image.ID{}, addPackage(t, s, "one", "usr/bin/one", "first"), addPackage(t, s, "two", "usr/bin/two", "second"))
	return addImage(t, s, base, addPackage(t, s, "three", "usr/bin/three", "third"))
}

// TestAnImageOfTheFirstVersion pulls what has a blob for each record.
func TestAnImageOfTheFirstVersion(t *testing.T) {
	ref := serve(t, nil) + "/base:1"
	from, to := open(t), open(t)
	id := threePackages(t, from)
	if err := Push(t.Context(), from, id, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	rewrite(t, from, ref, 1, func(record []byte) []byte { return record })
	if got, err := Pull(t.Context(), to, ref, Options{}); err != nil || got != id {
		t.Fatalf("pulled %s: %v", got.Short(), err)
	}
	arrived(t, to, ref, id)
}

func TestRecordsThatAreNone(t *testing.T) {
	for name, records := range map[string]func([]byte) []byte{
		"no netstrings":    func([]byte) []byte { return []byte("hello") },
		"an empty one":     func([]byte) []byte { return []byte("0:,") },
		"one that is cut":  func(b []byte) []byte { return fmt.Appendf(nil, "%d:%s,", len(b)+1, b) },
		"another package":  func([]byte) []byte { return []byte("5:hello,") },
		"without a prefix": func(b []byte) []byte { return b },
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			ref := serve(t, nil) + "/base:1"
			from, to := open(t), open(t)
			id := threePackages(t, from)
			if err := Push(t.Context(), from, id, ref, Options{}); err != nil {
				t.Fatal(err)
			}
			rewrite(t, from, ref, documentVersion, records)
			if _, err := Pull(t.Context(), to, ref, Options{}); !errors.Is(err, ErrRefused) {
				t.Errorf("it was not refused: %v", err)
			}
			untouched(t, to, id)
		})
	}
}

// TestRecordsInSeveralBlobs pushes more than one blob is to hold.
func TestRecordsInSeveralBlobs(t *testing.T) {
	ref := serve(t, nil) + "/base:1"
	from, to := open(t), open(t)
	var refs []image.Ref
	for i := range 2 {
		p := &pkg.Package{Name: fmt.Sprint("many", i), Version: "1"}
		for j := range 30_000 {
			p.Entries = append(p.Entries, pkg.Entry{Path: fmt.Sprintf("usr/share/%d/%s%06d", i, strings.Repeat("n", 100), j), Kind: pkg.Symlink, Mode: 0o777, Target: strings.Repeat("t", 100)})
		}
		id, err := from.PutPackage(p)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, image.Ref{Name: p.Name, Version: "1", Digest: id})
	}
	id := addImage(t, from, image.ID{}, refs...)
	if err := Push(t.Context(), from, id, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	sink, err := newSink(ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	there, err := (&reading{from: sink.remoteSource}).find(t.Context())
	if err != nil || len(there.artifact.Layers) != 3 {
		t.Errorf("%d blobs of a document and its records: %v", len(there.artifact.Layers), err)
	}
	if _, err := Pull(t.Context(), to, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	arrived(t, to, ref, id)
}
