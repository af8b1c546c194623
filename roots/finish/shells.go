package finish

import (
	"bytes"
	"path"
	"strings"
)

const (
	shellsMaster = "usr/share/debianutils/shells"
	shellsDir    = "usr/share/debianutils/shells.d"
)

// shellsStep writes shells(5) as debianutils' update-shells does: the master
// list and every shell that a package registers, below /bin and below /usr/bin.
var shellsStep = step{
	name: "shells", summary: "/etc/shells from the shells that packages register", revision: 1, machine: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		if !c.path(shellsMaster) {
			return inputs{}
		}
		c.below(shellsDir, nil)
		return c.inputs()
	},
	do: func(j *job) error {
		text, err := j.view.Read(shellsMaster)
		if err != nil {
			return err
		}
		text = append(bytes.TrimRight(text, "\n"), '\n')
		seen := map[string]bool{}
		for line := range strings.Lines(string(text)) {
			seen[strings.TrimSpace(line)] = true
		}
		for _, name := range j.view.Names(shellsDir) {
			list, err := j.view.Read(path.Join(shellsDir, name))
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(list)) {
				s := strings.TrimSpace(line)
				if s == "" || s[0] == '#' {
					continue
				}
				if !strings.HasPrefix(s, "/") {
					s = "/usr/bin/" + s
				}
				for _, shell := range []string{strings.TrimPrefix(s, "/usr"), s} {
					if strings.HasPrefix(shell, "/") && !seen[shell] && j.view.Has(shell) {
						seen[shell] = true
						text = append(text, shell+"\n"...)
					}
				}
			}
		}
		return j.out.file("etc/shells", 0o644, text)
	},
}
