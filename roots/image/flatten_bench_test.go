package image

import (
	"fmt"
	"testing"

	"ninefold/roots/pkg"
)

// BenchmarkFlatten joins 1,000 packages that hold 75,000 files and the
// directories above them.
func BenchmarkFlatten(b *testing.B) {
	var packages []*pkg.Package
	for i := range 1000 {
		var l []pkg.Entry
		l = append(l, dir("usr", 0o755), dir("usr/share", 0o755), dir("usr/share/doc", 0o755), dir("usr/lib", 0o755), dir("usr/lib/x86_64-linux-gnu", 0o755))
		for j := range 75 {
			l = append(l, file(fmt.Sprintf("usr/lib/x86_64-linux-gnu/package-%d/module-%d/file-with-a-name", i, j/10*10+j%10), fmt.Sprint(i, j)))
		}
		l = append(l, file(fmt.Sprintf("usr/share/doc/package-%d/copyright", i), "c"))
		packages = append(packages, pack(b, fmt.Sprint("p", i), l...))
	}
	chain := []Built{level(b, "one", nil, nil, packages...)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Flatten(chain); err != nil {
			b.Fatal(err)
		}
	}
}
