// Package threeway merges two texts that were made of a third one, line by line,
// as diff3(1) does. It is pure.
package threeway

import (
	"bytes"
	"slices"
)

// The bounds of what is merged; beyond them, and for binary files, only sides
// that are the same merge.
const (
	maxSize  = 4 << 20
	maxEdits = 1000 // lines that differ between the old text and a side
)

// Merge returns what both sides made of old. It is false when they changed lines
// that are the same or next to each other in different ways.
func Merge(old, mine, theirs []byte) ([]byte, bool) {
	switch {
	case bytes.Equal(mine, theirs), bytes.Equal(old, theirs):
		return mine, true
	case bytes.Equal(old, mine):
		return theirs, true
	case len(old) > maxSize || len(mine) > maxSize || len(theirs) > maxSize:
		return nil, false
	}
	for _, text := range [][]byte{old, mine, theirs} {
		if bytes.IndexByte(text, 0) >= 0 {
			return nil, false
		}
	}
	o, m, t := lines(old), lines(mine), lines(theirs)
	a, ok1 := changes(o, m)
	b, ok2 := changes(o, t)
	if !ok1 || !ok2 {
		return nil, false
	}
	return join(o, a, b)
}

func lines(text []byte) []string {
	var out []string
	for line := range bytes.Lines(text) {
		out = append(out, string(line))
	}
	return out
}

// change puts with in the place of the old lines from to before to.
type change struct {
	from, to int
	with     []string
}

// join makes the changes of both sides, which must not touch each other.
func join(old []string, a, b []change) ([]byte, bool) {
	var out bytes.Buffer
	at := 0
	take := func(c change) {
		for _, line := range old[at:c.from] {
			out.WriteString(line)
		}
		for _, line := range c.with {
			out.WriteString(line)
		}
		at = c.to
	}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].to < b[0].from:
			take(a[0])
			a = a[1:]
		case len(a) == 0 || b[0].to < a[0].from:
			take(b[0])
			b = b[1:]
		case a[0].from == b[0].from && a[0].to == b[0].to && slices.Equal(a[0].with, b[0].with):
			take(a[0])
			a, b = a[1:], b[1:]
		default:
			return nil, false
		}
	}
	take(change{from: len(old), to: len(old)})
	return out.Bytes(), true
}

// changes says by which changes new is made of old: a shortest way, by Myers'
// greedy algorithm. It is false when there are too many.
func changes(old, new []string) ([]change, bool) {
	n, m := len(old), len(new)
	most := min(n+m, maxEdits)
	reach := make([]int, 2*most+3) // by diagonal: how far old is consumed
	at := func(k int) *int { return &reach[k+most+1] }
	var trail [][]int
	for d := 0; d <= most; d++ {
		for k := -d; k <= d; k += 2 {
			var x int
			if k == -d || k != d && *at(k - 1) < *at(k + 1) {
				x = *at(k + 1)
			} else {
				x = *at(k - 1) + 1
			}
			for x < n && x-k < m && old[x] == new[x-k] {
				x++
			}
			*at(k) = x
			if x >= n && x-k >= m {
				return back(old, new, trail), true
			}
		}
		// What this round reached, around the middle.
		trail = append(trail, slices.Clone(reach[most+1-d:most+2+d]))
	}
	return nil, false
}

// back goes from the end to the start along what each round reached.
func back(old, new []string, trail [][]int) []change {
	var out []change
	x, y := len(old), len(new)
	for d := len(trail); d > 0; d-- {
		before := trail[d-1] // diagonals -(d-1) to d-1
		at := func(k int) int {
			if k < -(d-1) || k > d-1 {
				return -1
			}
			return before[k+d-1]
		}
		k := x - y
		down := k == -d || k != d && at(k-1) < at(k+1)
		from := k - 1
		if down {
			from = k + 1
		}
		px := at(from)
		py := px - from
		c := change{from: px, to: px, with: nil}
		if down {
			c.with = new[py : py+1]
		} else {
			c.to = px + 1
		}
		out = append(out, c)
		x, y = px, py
	}
	slices.Reverse(out)
	return grouped(out)
}

// grouped makes one change of those that follow each other without a line between.
func grouped(all []change) (out []change) {
	for _, c := range all {
		if n := len(out) - 1; n >= 0 && out[n].to == c.from {
			out[n].to = c.to
			out[n].with = append(out[n].with[:len(out[n].with):len(out[n].with)], c.with...)
			continue
		}
		out = append(out, c)
	}
	return out
}
