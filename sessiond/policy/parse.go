package policy

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"ninefold/internal/tomlfile"
)

// ErrInvalid says that a policy is wrong; ErrVersion that it is written in a
// version of the language that this program does not read.
var (
	ErrInvalid = errors.New("bad host policy")
	ErrVersion = errors.New("unknown version of the host policy")
)

const versionLine = "ninefold 1"

// MaxRemember is the longest that an answer may be remembered.
const MaxRemember = 24 * time.Hour

// Parse reads a policy, the content of file. The error is a tomlfile.Errors
// with everything that is wrong, each with line and column; there are no rules
// then.
func Parse(file string, data []byte) ([]Rule, error) {
	if len(data) > MaxSize {
		return nil, tomlfile.Errors{{File: file, Msg: fmt.Sprintf("the file is larger than %d bytes", MaxSize), Err: ErrInvalid}}
	}
	l := &lexer{file: file, text: string(data), line: 1}
	var errs tomlfile.Errors
	var rules []Rule
	for first := true; ; {
		words, err := l.next()
		switch {
		case err != nil:
			errs = append(errs, err)
		case len(words) == 0:
			if len(errs) > 0 {
				return nil, errs
			}
			return rules, nil
		case first:
			if err := l.version(words); err != nil {
				// In another version every line may mean something else.
				return nil, append(errs, err)
			}
			first = false
		case len(rules) == MaxRules:
			return nil, append(errs, l.fail(words[0].at, "the policy has more than %d rules", MaxRules))
		default:
			r, bad := l.rule(words)
			if len(bad) > 0 {
				errs = append(errs, bad...)
				continue
			}
			rules = append(rules, r)
		}
		if len(errs) > 100 {
			return nil, errs
		}
	}
}

func (l *lexer) version(words []word) *tomlfile.Error {
	if !words[0].bare("ninefold") || len(words) != 2 {
		e := l.fail(words[0].at, "the first line has to be: %s", versionLine)
		e.Err = ErrVersion
		return e
	}
	if !words[1].bare("1") {
		e := l.fail(words[1].at, "this program reads version 1 of the host policy, and the file is of another")
		e.Err = ErrVersion
		return e
	}
	return nil
}

// reader reads the words of one rule.
type reader struct {
	*lexer
	words []word
	rule  Rule
	seen  map[string]bool
	errs  tomlfile.Errors
}

func (r *reader) bad(w word, format string, args ...any) {
	r.errs = append(r.errs, r.fail(w.at, format, args...))
}

// clauses are the parts of a rule between the verdict and run.
var clauses = []string{"user", "profile", "kind", "as", "remember", "redact"}

func (l *lexer) rule(words []word) (Rule, tomlfile.Errors) {
	r := &reader{lexer: l, words: words, seen: map[string]bool{}}
	r.rule.File, r.rule.Line = l.file, words[0].at.Line
	switch verdicts := []string{"allow", "ask", "deny"}; {
	case words[0].bare("allow"):
		r.rule.Verdict = Allow
	case words[0].bare("ask"):
		r.rule.Verdict = Ask
	case words[0].bare("deny"):
	default:
		r.bad(words[0], "a rule begins with allow, ask or deny%s", near(words[0], verdicts))
		return r.rule, r.errs
	}
	rest := words[1:]
	for len(rest) > 0 && !rest[0].bare("run") {
		key := rest[0]
		name := key.plain()
		if !slices.Contains(clauses, name) {
			known := append(slices.Clone(clauses), "run")
			r.bad(key, "expected one of %s%s", strings.Join(known, ", "), near(key, known))
			return r.rule, r.errs
		}
		if r.seen[name] {
			r.bad(key, "%s stands twice in one rule; join alternatives with |", name)
		}
		r.seen[name] = true
		if len(rest) == 1 {
			r.bad(key, "%s is the last word, and says nothing", name)
			return r.rule, r.errs
		}
		r.clause(name, rest[1])
		rest = rest[2:]
	}
	if len(rest) > 0 {
		r.run(rest)
	}
	r.complete()
	return r.rule, r.errs
}

func near(w word, known []string) string {
	if n := tomlfile.Nearest(w.plain(), known); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}

func (r *reader) clause(name string, w word) {
	if w.dots {
		r.bad(w, "... belongs to the arguments after run")
		return
	}
	switch name {
	case "user":
		r.rule.Users = r.pattern(w, nil, true)
	case "profile":
		r.rule.Profiles = r.pattern(w, nil, false)
		for _, a := range r.rule.Profiles {
			if a.Kind != Any && !isProfile(a.Text) {
				r.bad(w, "%s cannot be the name of a profile", show(a.Text))
			}
		}
	case "kind":
		r.rule.Kinds = r.pattern(w, nil, false)
		for i, a := range r.rule.Kinds {
			if a.Kind != Any && (a.Kind != Exact || !slices.Contains(Kinds(), a.Text)) {
				r.bad(w, "%s is no kind of session; there are %s%s", show(a.Text), strings.Join(Kinds(), ", "), near(word{alts: w.alts[i : i+1]}, Kinds()))
			}
		}
	case "as":
		r.rule.As = r.pattern(w, map[string]AlternativeKind{"self": Self}, false)
	case "remember":
		d, err := parseDuration(w.plain())
		if err != "" {
			r.bad(w, "remember %s", err)
		}
		r.rule.Remember = d
	case "redact":
		r.redact(w)
	}
}

// pattern reads names: special gives bare words a meaning of their own.
func (r *reader) pattern(w word, special map[string]AlternativeKind, groups bool) Pattern {
	var p Pattern
	for _, a := range w.alts {
		kind, isSpecial := special[a.text]
		switch {
		case a.group && groups && a.text != "" && !a.star:
			p = append(p, Alternative{Group, a.text})
		case a.group && groups:
			r.bad(w, "@ goes before the whole name of a group")
		case a.group:
			r.bad(w, "a group can only stand after user; write '@' for the character itself")
		case a.star && a.text == "" && a.quoted:
			r.bad(w, "''* has no meaning; write * for any")
		case a.star && a.text == "":
			p = append(p, Alternative{Kind: Any})
		case a.star:
			p = append(p, Alternative{Prefix, a.text})
		case a.text == "":
			r.bad(w, "an empty name")
		case isSpecial && !a.quoted:
			p = append(p, Alternative{Kind: kind})
		default:
			p = append(p, Alternative{Exact, a.text})
		}
	}
	return p
}

// isProfile reports whether s can be, or begin, the name of a profile or of a
// profile of a user's own, which has a mark before it.
func isProfile(s string) bool {
	s = strings.TrimPrefix(s, "~")
	return len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-'
	})
}

// run reads the program and its arguments, after the word run.
func (r *reader) run(words []word) {
	if len(words) == 1 {
		r.bad(words[0], "run is the last word; the program is missing, or * for any with any arguments: run * ...")
		return
	}
	r.seen["run"] = true
	r.program(words[1])
	args := words[2:]
	for i, w := range args {
		p := r.argument(w)
		switch {
		case !w.dots:
			r.rule.Args = append(r.rule.Args, p)
		case i < len(args)-1:
			r.bad(w, "a word with ... stands last: it is for all arguments that are left")
		default:
			r.rule.Rest = p
		}
	}
}

func (r *reader) program(w word) {
	if w.dots {
		r.bad(w, "... is for arguments; write * for any program")
		return
	}
	for _, a := range w.alts {
		switch {
		case a.group:
			r.bad(w, "@%s is no program; write '@' for the character itself", a.text)
		case a.star && a.text == "" && !a.quoted:
			r.rule.Program = append(r.rule.Program, Alternative{Kind: Any})
		case !strings.HasPrefix(a.text, "/"):
			r.bad(w, "the program %s is not an absolute path; write for example /usr/bin/%s", show(a.text), path.Base("/"+a.text))
		case a.star && !clean(a.text+"x"), !a.star && !clean(a.text):
			r.bad(w, "the path %s is never that of a program: it has an empty name, . or .. in it", show(a.text))
		case a.star:
			r.rule.Program = append(r.rule.Program, Alternative{Prefix, a.text})
		default:
			r.rule.Program = append(r.rule.Program, Alternative{Exact, a.text})
		}
	}
}

func clean(p string) bool { return p != "/" && path.Clean(p) == p }

func (r *reader) argument(w word) Pattern {
	var p Pattern
	if w.dots && len(w.alts) == 0 {
		return Pattern{{Kind: All}}
	}
	for _, a := range w.alts {
		if a.group {
			a.text = "@" + a.text // groups are no matter of arguments
		}
		switch {
		case a.star && a.text == "" && a.quoted:
			r.bad(w, "''* has no meaning; write * for any argument that is no option, -* for any option, *|-* for both")
		case a.star && a.text == "":
			p = append(p, Alternative{Kind: Any})
		case a.star:
			p = append(p, Alternative{Prefix, a.text})
		default:
			p = append(p, Alternative{Exact, a.text})
		}
	}
	return p
}

func (r *reader) redact(w word) {
	red := &r.rule.Redact
	for _, a := range w.alts {
		digits, open := strings.CutSuffix(a.text, "-")
		switch {
		case a.quoted || a.group || strings.Trim(digits, "0123456789") != "" || digits == "":
			if a.star && a.text == "" && !a.quoted && !a.group {
				red.All = true
				continue
			}
			red.Words = append(red.Words, r.argument(word{at: w.at, alts: []lexed{a}})...)
		case a.star:
			r.bad(w, "%s* is neither a position nor a word; write '%s'* for words that begin so", a.text, a.text)
		default:
			n, err := strconv.Atoi(digits)
			if err != nil || n < 1 || n > 1<<20 {
				r.bad(w, "redact %s: arguments are counted from 1", a.text)
			} else if open {
				if red.From == 0 || n < red.From {
					red.From = n
				}
			} else {
				red.Positions = append(red.Positions, n)
			}
		}
	}
	slices.Sort(red.Positions)
	red.Positions = slices.Compact(red.Positions)
}

// complete checks what only the whole rule shows.
func (r *reader) complete() {
	if len(r.errs) > 0 {
		return
	}
	first := r.words[0]
	if r.rule.Remember != 0 && r.rule.Verdict != Ask {
		r.bad(first, "remember belongs to ask: %s asks nobody", r.rule.Verdict)
	}
	if r.rule.Verdict == Deny {
		return
	}
	for _, name := range []string{"user", "profile", "as", "run"} {
		if !r.seen[name] {
			any := map[string]string{"user": "user *", "profile": "profile *", "as": "as self", "run": "run PROGRAM"}[name]
			r.bad(first, "the rule says nothing of %s; write it down%s, for example: %s", name, map[bool]string{true: " before run"}[r.seen["run"]], any)
		}
	}
}

// parseDuration reads a number and one of s, m, h; why is "" if it is one.
func parseDuration(s string) (d time.Duration, why string) {
	const form = "takes a number with s, m or h, as in 15m"
	if s == "" {
		return 0, form
	}
	unit, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 31)
	switch {
	case !ok || err != nil || s[0] == '+':
		return 0, form
	case n == 0:
		return 0, "0 is what holds without it; leave it out"
	case time.Duration(n) > MaxRemember/unit:
		return 0, "at most 24h"
	}
	return time.Duration(n) * unit, ""
}
