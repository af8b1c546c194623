package plan

import "testing"

// Compiling is on the way of every session's start.
func BenchmarkCompile(b *testing.B) {
	s := imageSpec()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPrint(b *testing.B) {
	p, err := Compile(imageSpec())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		Print(p)
	}
}
