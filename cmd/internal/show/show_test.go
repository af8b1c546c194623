package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ninefold/internal/progress"
)

// clock is a time that stands still until told.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) forward(d time.Duration) { c.t = c.t.Add(d) }

func TestBarFitsEveryWidth(t *testing.T) {
	begun := time.Unix(1000, 0)
	s := state{seen: true, since: begun, u: progress.Update{Stage: "download", Item: "libreoffice-core_24.2\x1b[31m\n…", Done: 512e6, Total: 1440e6, Unit: "bytes"}}
	for width := 1; width < 200; width++ {
		line := barLine(s, begun.Add(10*time.Second), width)
		if n := utf8.RuneCountInString(line); n >= width && width > 1 {
			t.Fatalf("width %d: line has %d columns: %q", width, n, line)
		}
		if strings.ContainsAny(line, "\x1b\n") {
			t.Fatalf("width %d: an item steers the terminal: %q", width, line)
		}
	}
	line := barLine(s, begun.Add(10*time.Second), 120)
	for _, want := range []string{"download", "35%", "512 MB of 1.4 GB", "51 MB/s", "18 s left", "libreoffice", "[##########"} {
		if !strings.Contains(line, want) {
			t.Errorf("line %q lacks %q", line, want)
		}
	}
}

func TestNothingIsShownOfAShortJob(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	p := newProgress(&plainLines{out: &out}, quiet, c.now)
	for i := range 9 {
		p.Update(progress.Update{Stage: "compose", Done: int64(i), Total: 9, Unit: "files"})
		c.forward(100 * time.Millisecond)
		p.tick(c.t)
	}
	p.Update(progress.Update{Stage: "compose", Done: 9, Total: 9, Unit: "files", End: true})
	if out.Len() != 0 {
		t.Fatalf("a job of 0.9 s wrote %q", out.String())
	}
}

func TestPlainLinesAreFew(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	p := newProgress(&plainLines{out: &out}, quiet, c.now)
	for i := range 100 { // 10 s
		p.Update(progress.Update{Stage: "unpack", Done: int64(i), Total: 100, Unit: "packages"})
		c.forward(100 * time.Millisecond)
		p.tick(c.t)
	}
	p.Update(progress.Update{Stage: "unpack", Done: 100, Total: 100, Unit: "packages", End: true})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) < 3 || len(lines) > 6 {
		t.Fatalf("10 s gave %d lines: %q", len(lines), lines)
	}
	if want := "unpack: 100 packages in 10 s"; lines[len(lines)-1] != want {
		t.Errorf("last line %q, want %q", lines[len(lines)-1], want)
	}
}

func TestJSONLinesKeepEveryEnd(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	p := newProgress(&jsonLines{out: &out}, 0, c.now)
	for _, stage := range []string{"solve", "download", "unpack"} {
		for i := range 1000 {
			p.Update(progress.Update{Stage: stage, Done: int64(i)})
		}
		p.Update(progress.Update{Stage: stage, Done: 1000, End: true})
		p.tick(c.t)
	}
	var ends, lines int
	for dec := json.NewDecoder(&out); dec.More(); lines++ {
		var u progress.Update
		if err := dec.Decode(&u); err != nil {
			t.Fatal(err)
		}
		if u.End {
			ends++
		}
	}
	if ends != 3 || lines > 12 {
		t.Fatalf("%d ends in %d lines, want 3 in at most 12", ends, lines)
	}
}

// A stage that was interrupted by one that is part of it goes on to be shown.
func TestStagesWithinStages(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1000, 0)}
	p := newProgress(&jsonLines{out: &out}, 0, c.now)
	for _, u := range []progress.Update{{Stage: "finish", Total: 2}, {Stage: "compose"}, {Stage: "compose", End: true}} {
		p.Update(u)
		p.tick(c.t)
	}
	p.Update(progress.Update{Stage: "finish", Total: 2, Done: 2, End: true})
	p.tick(c.t)
	var stages []string
	for dec := json.NewDecoder(&out); dec.More(); {
		var u progress.Update
		if err := dec.Decode(&u); err != nil {
			t.Fatal(err)
		}
		stages = append(stages, fmt.Sprint(u.Stage, u.End))
	}
	if want := "finishfalse composefalse composetrue finishfalse finishtrue"; strings.Join(stages, " ") != want {
		t.Errorf("got %q, want %q", stages, want)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 15_300: "15 kB", 999_600: "1.0 MB", 1_440_000_000: "1.4 GB", 5e12: "5.0 TB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTableAlignsAndCleans(t *testing.T) {
	var out bytes.Buffer
	if err := Table(&out, []string{"NAME", "ID"}, [][]string{{"desktop", "1a"}, {"x\x1b[2J", "2"}}); err != nil {
		t.Fatal(err)
	}
	if want := "NAME     ID\ndesktop  1a\nx?[2J    2\n"; out.String() != want {
		t.Fatalf("got %q, want %q", out.String(), want)
	}
}
