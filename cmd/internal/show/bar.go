package show

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// bar paints one line of a terminal over and over and leaves a line behind for
// each stage that took long enough to be seen.
type bar struct {
	out     io.Writer
	width   func() int
	painted bool
}

func (b *bar) tick(s state, now time.Time) {
	if s.u.End {
		return
	}
	fmt.Fprint(b.out, "\r\x1b[K"+barLine(s, now, b.width()))
	b.painted = true
}

func (b *bar) stage(s state, now time.Time) {
	b.clear()
	if now.Sub(s.since) >= quiet {
		fmt.Fprintln(b.out, clip(finished(s, now), b.width()-1))
	}
}

func (b *bar) clear() {
	if b.painted {
		fmt.Fprint(b.out, "\r\x1b[K")
		b.painted = false
	}
}

// barLine fits stage, bar, figures and item in width columns, dropping the
// item first and the bar next.
func barLine(s state, now time.Time, width int) string {
	width-- // the last column of some terminals wraps
	head := fmt.Sprintf("%-9s", s.u.Stage)
	figures := amounts(s, now)
	room := width - utf8.RuneCountInString(head) - utf8.RuneCountInString(figures) - 2
	if s.u.Total > 0 && room >= 12 {
		cells := min(room-2, 30)
		full := int(float64(cells) * fraction(s))
		head += " [" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "]"
	}
	line := head + " " + figures
	if rest := width - utf8.RuneCountInString(line) - 2; s.u.Item != "" && rest >= 8 {
		line += "  " + clip(printable(s.u.Item), rest)
	}
	return clip(line, width)
}

// summary is a stage in the middle of its work, as a plain line.
func summary(s state, now time.Time) string {
	line := s.u.Stage
	if f := amounts(s, now); f != "" {
		line += ": " + f
	}
	if s.u.Item != "" {
		line += " (" + clip(printable(s.u.Item), 60) + ")"
	}
	return line
}

// finished is a stage at its end, as a plain line.
func finished(s state, now time.Time) string {
	took := now.Sub(s.since)
	line := fmt.Sprintf("%s: done", s.u.Stage)
	if s.u.Done > 0 && s.u.Unit != "" {
		line = fmt.Sprintf("%s: %s", s.u.Stage, count(s.u.Done, s.u.Unit))
	}
	return line + " in " + duration(took)
}

// amounts says how much of how much, and for bytes how fast and how long
// still.
func amounts(s state, now time.Time) string {
	u := s.u
	if u.Total <= 0 {
		if u.Done <= 0 || u.Unit == "" {
			return ""
		}
		return count(u.Done, u.Unit)
	}
	out := fmt.Sprintf("%3d%% %s", int(100*fraction(s)), of(u.Done, u.Total, u.Unit))
	took := now.Sub(s.since)
	if u.Unit != "bytes" || took < quiet || u.Done <= 0 {
		return out
	}
	rate := float64(u.Done) / took.Seconds()
	out += fmt.Sprintf(" %s/s", Bytes(int64(rate)))
	if left := float64(u.Total-u.Done) / rate; left >= 1 {
		out += " " + duration(time.Duration(left*float64(time.Second))) + " left"
	}
	return out
}

func fraction(s state) float64 {
	return max(0, min(1, float64(s.u.Done)/float64(s.u.Total)))
}

func of(done, total int64, unit string) string {
	if unit == "bytes" {
		return Bytes(done) + " of " + Bytes(total)
	}
	return strings.TrimSpace(fmt.Sprintf("%d of %d %s", done, total, unit))
}

func count(n int64, unit string) string {
	if unit == "bytes" {
		return Bytes(n)
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// Bytes is n bytes for people, in powers of 1000.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	for _, u := range []string{"kB", "MB", "GB"} {
		v /= 1000
		if v < 999.5 {
			if v < 9.95 {
				return fmt.Sprintf("%.1f %s", v, u)
			}
			return fmt.Sprintf("%.0f %s", v, u)
		}
	}
	return fmt.Sprintf("%.1f TB", v/1000)
}

func duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}

// clip cuts s to n runes, marking the cut.
func clip(s string, n int) string {
	if n <= 0 {
		return ""
	}
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:n-1]) + "…"
}

// printable keeps names that come from packages from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
