package finish

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

const (
	dpkgStatus = "var/lib/dpkg/status"
	dpkgInfo   = "var/lib/dpkg/info"
	// ControlDir holds each package's control paragraph under its name, in the
	// package itself; scanners of images without dpkg read it there, too.
	ControlDir = "var/lib/dpkg/status.d"
)

// dpkgStep writes dpkg's database, so that `dpkg -l`, `dpkg -S` and scanners
// know what is in the image.
var dpkgStep = step{
	name: "dpkg", summary: "dpkg's database of the image's packages", revision: 2, machine: true,
	reads: func(v *View, p *Params) inputs {
		if len(p.Packages) == 0 || !v.Has("var/lib/dpkg") && !v.Has("usr/bin/dpkg") {
			return inputs{}
		}
		c := collect(v)
		c.path("var/lib/dpkg")
		var extra bytes.Buffer
		for _, i := range p.Packages {
			fmt.Fprintf(&extra, "%s\x00%s\x00%s\x00%s\x00", i.Name, i.Version, i.Arch, i.Digest)
		}
		in := c.inputs()
		in.extra = extra.Bytes()
		if len(in.entries) == 0 {
			// The tool without its directory: any entry marks the step as due.
			c.path("usr/bin/dpkg")
			in.entries = c.inputs().entries
		}
		return in
	},
	do: func(j *job) error {
		list := slices.Clone(j.params.Packages)
		slices.SortFunc(list, func(a, b Installed) int { return strings.Compare(a.Name+":"+a.Arch, b.Name+":"+b.Arch) })
		var status bytes.Buffer
		for _, p := range list {
			var control []byte
			if at := path.Join(ControlDir, p.Name); j.view.Has(at) {
				var err error
				if control, err = j.view.Read(at); err != nil {
					return err
				}
			}
			paragraph := p.paragraph(control)
			status.Write(paragraph)
			if err := p.conffiles(&status, j.view.objects); err != nil {
				return err
			}
			status.WriteByte('\n')
			name := p.Name
			if bytes.Contains(paragraph, []byte("\nMulti-Arch: same\n")) {
				name += ":" + p.Arch
			}
			if err := j.out.file(path.Join(dpkgInfo, name+".list"), 0o644, p.list()); err != nil {
				return err
			}
		}
		if err := j.out.file(path.Join(dpkgInfo, "format"), 0o644, []byte("1\n")); err != nil {
			return err
		}
		return j.out.file(dpkgStatus, 0o644, status.Bytes())
	},
}

// paragraph is the package's entry in the status file: its control fields,
// if they are known, with a Status line after the name.
func (p *Installed) paragraph(control []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\n", p.Name)
	control = bytes.TrimSpace(control)
	if len(control) == 0 {
		fmt.Fprintf(&b, "Maintainer: unknown\nArchitecture: %s\nVersion: %s\nDescription: %s\n", p.Arch, p.Version, p.Name)
		return b.Bytes()
	}
	skip := false
	for line := range bytes.Lines(control) {
		if line[0] != ' ' && line[0] != '\t' {
			field, _, _ := bytes.Cut(line, []byte(":"))
			skip = strings.EqualFold(string(field), "Package") || strings.EqualFold(string(field), "Status")
		}
		if !skip {
			b.Write(bytes.TrimRight(line, "\r\n"))
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// conffiles adds the field by which dpkg knows what of the package's configuration
// somebody has changed since: the files as they are in the package, by MD5, which
// is what dpkg compares with.
func (p *Installed) conffiles(status *bytes.Buffer, objects Objects) error {
	head := "Conffiles:\n"
	for i := range p.Entries {
		e := &p.Entries[i]
		if !e.Conffile {
			continue
		}
		f, err := objects.Object(e.Digest)
		if err != nil {
			return fmt.Errorf("/%s of %s: %w", e.Path, p.Name, err)
		}
		sum := md5.New()
		_, err = io.Copy(sum, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("/%s of %s: %w", e.Path, p.Name, err)
		}
		fmt.Fprintf(status, "%s /%s %x\n", head, e.Path, sum.Sum(nil))
		head = ""
	}
	return nil
}

// list is what dpkg -L prints: every path with its parents.
func (p *Installed) list() []byte {
	var b bytes.Buffer
	b.WriteString("/.\n")
	seen := map[string]bool{}
	for i := range p.Entries {
		for k := range p.Entries[i].Path {
			if up := p.Entries[i].Path[:k]; p.Entries[i].Path[k] == '/' && !seen[up] {
				seen[up] = true
				b.WriteString("/" + up + "\n")
			}
		}
		if at := p.Entries[i].Path; !seen[at] {
			seen[at] = true
			b.WriteString("/" + at + "\n")
		}
	}
	return b.Bytes()
}
