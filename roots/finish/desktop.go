package finish

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

const applicationsDir = "usr/share/applications"

// desktopStep writes mimeinfo.cache: which applications open which type, as
// update-desktop-database does (Desktop Entry and MIME applications
// specifications).
var desktopStep = step{
	name: "desktop-database", summary: "mimeinfo.cache from the MimeType lines of applications", revision: 1,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		c.below(applicationsDir, func(e *pkg.Entry) bool { return strings.HasSuffix(e.Path, ".desktop") })
		return c.inputs()
	},
	do: func(j *job) error {
		dir, ok := j.view.Stat(applicationsDir)
		if !ok {
			return nil
		}
		apps := map[string][]string{}
		for e := range j.view.Below(dir.Path) {
			id, ok := strings.CutPrefix(e.Path, dir.Path+"/")
			if !ok || !strings.HasSuffix(id, ".desktop") || !j.view.Has(e.Path) {
				continue
			}
			text, err := j.view.Read(e.Path)
			if err != nil {
				return err
			}
			id = strings.ReplaceAll(id, "/", "-")
			for _, t := range desktopTypes(text) {
				if !slices.Contains(apps[t], id) {
					apps[t] = append(apps[t], id)
				}
			}
		}
		var b bytes.Buffer
		b.WriteString("[MIME Cache]\n")
		for _, t := range sortedKeys(apps) {
			fmt.Fprintf(&b, "%s=%s;\n", t, strings.Join(apps[t], ";"))
		}
		return j.out.file(path.Join(dir.Path, "mimeinfo.cache"), 0o644, b.Bytes())
	},
}

// desktopTypes returns the MIME types of a desktop entry's main group.
func desktopTypes(text []byte) []string {
	in := false
	for line := range bytes.Lines(text) {
		s := strings.TrimSpace(string(line))
		if strings.HasPrefix(s, "[") {
			in = s == "[Desktop Entry]"
			continue
		}
		key, value, ok := strings.Cut(s, "=")
		if !in || !ok || strings.TrimSpace(key) != "MimeType" {
			continue
		}
		var types []string
		for _, t := range strings.Split(value, ";") {
			t = strings.TrimSpace(t)
			if major, minor, ok := strings.Cut(t, "/"); ok && major != "" && minor != "" && !strings.ContainsAny(t, " =[]\x00") {
				types = append(types, t)
			}
		}
		return types
	}
	return nil
}
