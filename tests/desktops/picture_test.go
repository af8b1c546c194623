package desktops

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
)

// save writes a picture to out/desktops.
func (s *seat) save(kind string, picture []byte) {
	s.t.Helper()
	dir := filepath.Join(top(s.t), "out/desktops")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	name := s.fileName()
	if kind != "" {
		name += "-" + kind
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// look wants a picture on which a desktop is drawn, and keeps it.
func (s *seat) look(picture []byte) {
	s.t.Helper()
	s.save("", picture)
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		s.t.Fatalf("the picture: %v", err)
	}
	if n := colours(img); n < 20 {
		s.t.Errorf("the picture has %d colours: nothing was drawn", n)
	}
}

func colours(img image.Image) int {
	seen := map[color.Color]bool{}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y += 4 {
		for x := b.Min.X; x < b.Max.X; x += 4 {
			seen[img.At(x, y)] = true
		}
	}
	return len(seen)
}
