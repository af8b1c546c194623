package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHowLongGuestsMayStay(t *testing.T) {
	for _, c := range []struct {
		text       string
		stay, away time.Duration
		wrong      string
	}{
		{"", GuestsStay, GuestsAway, ""},
		{"stay = \"90m\"\naway = \"10m\"", 90 * time.Minute, 10 * time.Minute, ""},
		{"away = \"never\"", GuestsStay, 0, ""},
		{"stay = \"never\"", 0, 0, "guests.stay"},
		{"stay = \"9000h\"", 0, 0, "guests.stay"},
		{"away = \"0s\"", 0, 0, "guests.away"},
		{"away = \"-1m\"", 0, 0, "guests.away"},
		{"away = \"soon\"", 0, 0, "guests.away"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte("[guests]\n"+c.text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		conf, err := Load([]string{dir})
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q: %v", c.text, err)
			}
			continue
		}
		if err != nil || conf.Guests.Longest() != c.stay || conf.Guests.MostAway() != c.away {
			t.Errorf("%q: %v, %v, %v", c.text, conf.Guests.Longest(), conf.Guests.MostAway(), err)
		}
	}
}
