package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// BenchmarkPut stores files of 8 KiB that are new, and again when they are there.
func BenchmarkPut(b *testing.B) {
	for _, workers := range []int{1, 2} {
		for _, fresh := range []bool{true, false} {
			b.Run(fmt.Sprintf("workers-%d/new-%v", workers, fresh), func(b *testing.B) {
				s := open(b)
				var next atomic.Uint64
				b.SetBytes(8192)
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						content := make([]byte, 8192)
						for {
							n := next.Add(1)
							if n > uint64(b.N) {
								return
							}
							if fresh {
								binary.LittleEndian.PutUint64(content, n)
							}
							if _, _, err := s.Put(b.Context(), bytes.NewReader(content)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	s := open(b)
	var contents []string
	for i := range 2000 {
		contents = append(contents, fmt.Sprint(i, string(make([]byte, 32<<10))))
	}
	var ids []pkg.Digest
	ids = append(ids, putPackage(b, s, "a", contents...))
	putImage(b, s, "base", image.ID{}, ids...)
	b.SetBytes(2000 * 32 << 10)
	for b.Loop() {
		if damage, err := s.Verify(b.Context()); err != nil || len(damage) > 0 {
			b.Fatal(damage, err)
		}
	}
}
