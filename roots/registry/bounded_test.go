package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"ninefold/roots/pkg"
)

const tenMillion = 10_000_000

// topSource is an index, and nothing that it names.
type topSource []byte

func (s topSource) top(context.Context) (types.MediaType, []byte, error) {
	return types.OCIImageIndex, s, nil
}

func (topSource) manifest(context.Context, v1.Hash) ([]byte, error) { return nil, io.EOF }

func (topSource) blob(context.Context, v1.Hash) (io.ReadCloser, error) { return nil, io.EOF }

// allocated is how much f allocates, in bytes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestTenMillionEntries are refused before there is anything made of them.
func TestTenMillionEntries(t *testing.T) {
	document := func(list, element string) func() error {
		text := []byte(`{"version":2,"` + list + `":[` + strings.Repeat(element+",", tenMillion) + element + `]}`)
		return func() error {
			_, _, err := ParseDocument(text)
			return err
		}
	}
	index := []byte(`{"schemaVersion":2,"manifests":[` + strings.Repeat("{},", tenMillion) + `{}]}`)
	for name, parse := range map[string]func() error{
		"packages":   document("packages", "{}"),
		"nothing":    document("packages", "null"),
		"signatures": document("signatures", "{}"),
		"images":     document("images", `""`),
		"unknown":    document("elsewhere", "1"),
		"manifests": func() error {
			_, err := indexOf(t.Context(), topSource(index))
			return err
		},
	} {
		var err error
		n := allocated(func() { err = parse() })
		if !errors.Is(err, ErrRefused) || n > 1<<20 {
			t.Errorf("%s: %d bytes were allocated: %v", name, n, err)
		}
	}
}

// TestARecordOfTenMillionEntries is one that says of itself that it is whole.
func TestARecordOfTenMillionEntries(t *testing.T) {
	small, err := (&pkg.Package{Name: "large", Version: "1"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	// After the header, and the name, version and architecture, comes how many entries there are.
	at := bytes.Index(small, []byte("large")) + len("large") + 2 + 1
	record := binary.AppendUvarint(bytes.Clone(small[:at]), tenMillion)
	record = append(record, make([]byte, 3*tenMillion)...)
	sum := sha256.Sum256(record)
	record = append(record, sum[:]...)
	if _, err := pkg.Decode(record); !errors.Is(err, pkg.ErrCorrupt) || !strings.Contains(err.Error(), "the limit is") {
		t.Fatalf("it is refused for something else: %v", err)
	}
	p := &pull{s: open(t)}
	n := allocated(func() { err = p.one(t.Context(), Package{ID: sha256.Sum256(record)}, record) })
	if !errors.Is(err, ErrRefused) || n > 2*uint64(len(record)) {
		t.Errorf("%d bytes were allocated: %v", n, err)
	}
}

func TestBoundedCountsNoText(t *testing.T) {
	text := `{"a":"` + strings.Repeat(`,[{\"\\`, 1000) + `","b":[1,2]}`
	if err := bounded([]byte(text), 4); err != nil {
		t.Error(err)
	}
	if err := bounded([]byte(text), 3); err == nil {
		t.Error("four things are three")
	}
}
