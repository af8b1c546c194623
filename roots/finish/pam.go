package finish

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	pamTemplates = "usr/share/pam"
	pamProfiles  = "usr/share/pam-configs"
)

// pamProfile is one file of /usr/share/pam-configs (PAMConfigFrameworkSpec).
type pamProfile struct {
	file   string
	fields map[string]string // "Auth" -> its lines
}

func (p *pamProfile) priority() int {
	n, _ := strconv.Atoi(p.fields["Priority"])
	return n
}

// pamStep writes the common-* files that pam-auth-update would on a new
// system: the default profiles by falling priority, over libpam-runtime's
// templates.
var pamStep = step{
	name: "pam", summary: "/etc/pam.d/common-* from the profiles of pam-auth-update", revision: 1, machine: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		if !c.below(pamTemplates, nil) || !c.below(pamProfiles, nil) {
			return inputs{}
		}
		return c.inputs()
	},
	do: func(j *job) error {
		profiles, err := readPamProfiles(j.view)
		if err != nil {
			return err
		}
		for _, name := range j.view.Names(pamTemplates) {
			kind, ok := strings.CutPrefix(name, "common-")
			if !ok || strings.Contains(kind, ".") {
				continue
			}
			text, err := j.view.Read(path.Join(pamTemplates, name))
			if err != nil {
				return err
			}
			if err := j.out.file("etc/pam.d/"+name, 0o644, fillPam(string(text), kind, profiles)); err != nil {
				return err
			}
		}
		return nil
	},
}

func readPamProfiles(v *View) ([]pamProfile, error) {
	var list []pamProfile
	for _, name := range v.Names(pamProfiles) {
		text, err := v.Read(path.Join(pamProfiles, name))
		if err != nil {
			return nil, err
		}
		p := pamProfile{name, parsePam(string(text))}
		if p.fields["Name"] == "" {
			return nil, fmt.Errorf("/%s/%s has no Name field", pamProfiles, name)
		}
		if p.fields["Default"] == "yes" {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b pamProfile) int {
		return cmp.Or(cmp.Compare(b.priority(), a.priority()), strings.Compare(b.file, a.file))
	})
	// Of two profiles that exclude each other the first stays.
	var kept []pamProfile
	for _, p := range list {
		excluded := slices.ContainsFunc(kept, func(k pamProfile) bool {
			return pamConflict(&k, &p) || pamConflict(&p, &k)
		})
		if !excluded {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

func pamConflict(a, b *pamProfile) bool {
	names := strings.FieldsFunc(a.fields["Conflicts"], func(r rune) bool { return r == ',' || r == ' ' })
	return slices.Contains(names, b.file)
}

func parsePam(text string) map[string]string {
	fields := map[string]string{}
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\n")
		if name, value, ok := strings.Cut(line, ":"); ok && line[0] != ' ' && line[0] != '\t' {
			last = name
			fields[name] = strings.TrimSpace(value)
			continue
		}
		if last != "" && strings.TrimSpace(line) != "" {
			fields[last] = strings.TrimPrefix(fields[last]+"\n"+strings.TrimSpace(line), "\n")
		}
	}
	return fields
}

// fillPam puts the blocks into a template. kind is "auth", "account",
// "password", "session" or "session-noninteractive".
func fillPam(template, kind string, profiles []pamProfile) []byte {
	kind, noninteractive := strings.CutSuffix(kind, "-noninteractive")
	field := strings.ToUpper(kind[:1]) + kind[1:]
	block := func(which string) string {
		var lines []string
		first := true
		for _, p := range profiles {
			if p.fields[field+"-Type"] != which || noninteractive && p.fields["Session-Interactive-Only"] == "yes" {
				continue
			}
			text := p.fields[field]
			if initial := p.fields[field+"-Initial"]; first && initial != "" {
				text = initial
			}
			first = false
			for line := range strings.Lines(text) {
				lines = append(lines, strings.TrimRight(line, "\n"))
			}
		}
		if len(lines) == 0 && which == "Primary" {
			// Skips the pam_deny that follows the block.
			lines = append(lines, "[default=end]\t\t\tpam_permit.so")
		}
		var b strings.Builder
		for i, line := range lines {
			b.WriteString(kind + "\t" + jumpToEnd(line, len(lines)-i) + "\n")
		}
		return b.String()
	}
	var out strings.Builder
	for line := range strings.Lines(template) {
		switch strings.TrimSpace(line) {
		case "$" + kind + "_primary", "$" + kind + "_nonint_primary":
			out.WriteString(block("Primary"))
		case "$" + kind + "_additional", "$" + kind + "_nonint_additional":
			out.WriteString(block("Additional"))
		default:
			out.WriteString(line)
		}
	}
	return []byte(out.String())
}

var pamEnd = regexp.MustCompile(`^(\[[^\]]*)=end([^\]]*\])`)

// jumpToEnd replaces the word "end" in a control by the number of modules to
// skip, so that the jump lands behind the rest of the block and its pam_deny.
func jumpToEnd(line string, n int) string {
	for pamEnd.MatchString(line) {
		line = pamEnd.ReplaceAllString(line, "${1}="+strconv.Itoa(n)+"${2}")
	}
	return line
}
