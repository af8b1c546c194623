package driver

import (
	"fmt"
	"testing"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/layers"
	"ninefold/namespaces/plan"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// largeImage has n files in packages of 75, with directories above them as
// packages of a distribution have.
func largeImage(b *testing.B, s *store.Store, n int) image.ID {
	m := &image.Manifest{Name: "large"}
	for i := range n / 75 {
		z := newZoo(b, s, fmt.Sprint("package-", i))
		for _, d := range []string{"usr", "usr/share", "usr/share/doc", "usr/lib", "usr/lib/x86_64-linux-gnu"} {
			z.add(pkg.Entry{Path: d, Kind: pkg.Dir, Mode: 0o755})
		}
		for j := range 75 {
			z.file(fmt.Sprintf("usr/lib/x86_64-linux-gnu/package-%d/module-%d/file-with-a-name-%d", i, j/10, j), fmt.Sprint("content ", (i*75+j)%2000), nil)
		}
		m.Packages = append(m.Packages, z.put())
	}
	return putImage(b, s, m)
}

func BenchmarkCompose(b *testing.B) {
	for _, n := range []int{7_000, 75_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b)
			id := largeImage(b, s, n)
			for b.Loop() {
				if err := (Composefs{}).Compose(b.Context(), s, id, Full); err != nil {
					b.Fatal(err)
				}
				if err := (Composefs{}).Remove(s, id, Full); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMount mounts and unmounts; the time must not depend on the number
// of files.
func BenchmarkMount(b *testing.B) {
	for _, d := range All()[:2] {
		for _, n := range []int{7_000, 75_000} {
			b.Run(fmt.Sprint(d.Name(), "-", n), func(b *testing.B) {
				s := open(b)
				id := largeImage(b, s, n)
				if err := d.Compose(b.Context(), s, id, Full); err != nil {
					b.Fatal(err)
				}
				l, err := d.Layers(s, id, Full)
				if err != nil {
					b.Fatal(err)
				}
				scratch := b.TempDir()
				for b.Loop() {
					err := kernel.OnThread(func() error {
						return onStack(scratch, func(s *layers.Stack) error {
							mnt, err := s.Union(l[:1:1], &plan.Upper{}, 0)
							mnt.Close()
							return err
						})
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
