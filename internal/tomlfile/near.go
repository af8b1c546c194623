package tomlfile

// Nearest returns the candidate that word was most likely meant to be, or ""
// when none is close: the fewest insertions, deletions, replacements and
// swaps of neighbours (the restricted Damerau-Levenshtein distance), at most
// a third of the length of word (but one is always allowed) and never more
// than three. A single letter is near to nothing. The first of
// several equally near wins. It costs little even for 100,000 candidates.
func Nearest(word string, candidates []string) string {
	if len(word) < 2 {
		return ""
	}
	limit := min(max(1, len(word)/3), 3)
	best := ""
	for _, c := range candidates {
		if d := len(c) - len(word); d > limit || -d > limit {
			continue
		}
		if d := distance(word, c, limit); d <= limit {
			if d == 0 {
				return c
			}
			best, limit = c, d-1
		}
	}
	return best
}

// distance returns the distance from a to b, or some number above limit as
// soon as it cannot be limit or less.
func distance(a, b string, limit int) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > limit {
			return least
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
