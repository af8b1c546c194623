package policy

import (
	"strconv"
	"strings"
	"time"
)

// Print returns the rule in the language, on one line unless a quoted word
// holds a newline. Parse reads it back to the same rule.
func Print(r Rule) string {
	w := []string{r.Verdict.String()}
	add := func(key string, value string) {
		if value != "" {
			w = append(w, key, value)
		}
	}
	add("user", r.Users.print(names))
	add("profile", r.Profiles.print(names))
	add("kind", r.Kinds.print(names))
	add("as", r.As.print(names))
	add("remember", printDuration(r.Remember))
	add("redact", r.Redact.String())
	if len(r.Program) == 0 {
		return strings.Join(w, " ")
	}
	add("run", r.Program.print(arguments))
	for _, p := range r.Args {
		w = append(w, p.print(arguments))
	}
	switch rest := r.Rest.print(arguments); {
	case len(r.Rest) == 0:
	case rest == "...":
		w = append(w, rest)
	default:
		w = append(w, rest+"...")
	}
	return strings.Join(w, " ")
}

// PrintAll returns rules as a file.
func PrintAll(rules []Rule) string {
	var b strings.Builder
	b.WriteString(versionLine + "\n")
	for _, r := range rules {
		b.WriteString(Print(r) + "\n")
	}
	return b.String()
}

// String returns the pattern as it is written.
func (p Pattern) String() string { return p.print(names) }

// kind of word: what has to be quoted differs.
type kind int

const (
	names kind = iota
	arguments
	redacted
)

func (p Pattern) print(k kind) string {
	alts := make([]string, len(p))
	for i, a := range p {
		switch a.Kind {
		case Any:
			alts[i] = "*"
		case All:
			alts[i] = "..."
		case Self:
			alts[i] = "self"
		case Group:
			alts[i] = "@" + quote(a.Text, names)
		case Prefix:
			alts[i] = quote(a.Text, k) + "*"
		default:
			alts[i] = quote(a.Text, k)
		}
	}
	return strings.Join(alts, "|")
}

// quote writes text so that it stands for itself.
func quote(text string, k kind) string {
	special := text == "" || text[0] == '@' || text[0] == '#' || strings.HasSuffix(text, "...") ||
		k == names && text == "self" || k == redacted && strings.Trim(text, "0123456789-") == ""
	if !special && strings.IndexFunc(text, func(c rune) bool { return !bareByte(c) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

func bareByte(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_-./:=+,%@~^!", c)
}

// String returns what stands after redact, or "".
func (r Redact) String() string {
	var parts []string
	if r.All {
		parts = append(parts, "*")
	}
	for _, n := range r.Positions {
		parts = append(parts, strconv.Itoa(n))
	}
	if r.From > 0 {
		parts = append(parts, strconv.Itoa(r.From)+"-")
	}
	if len(r.Words) > 0 {
		parts = append(parts, r.Words.print(redacted))
	}
	return strings.Join(parts, "|")
}

func printDuration(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return strconv.Itoa(int(d/time.Second)) + "s"
}

// show makes a word of a request or rule fit for a line that a person reads.
func show(s string) string {
	const most = 80
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "…"
	}
	if q := quote(s, arguments); q == s {
		return s + cut
	}
	return strconv.Quote(s) + cut
}

func programs(p Pattern) string { return p.print(arguments) }
