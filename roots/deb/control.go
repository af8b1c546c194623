package deb

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"

	"ninefold/roots/deb/script"
)

// control is what the control archive says.
type control struct {
	name, version, arch string
	conffiles           []string // as written: absolute
	scripts             script.Input
}

func readControl(ctx context.Context, member string, r io.Reader, o Options) (*control, error) {
	files := map[string][]byte{}
	err := unpack(ctx, member, "control.tar", r, maxControl, o, func(r io.Reader) error {
		tr := tar.NewReader(r)
		for {
			h, err := tr.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return malformed("control archive: %w", err)
			}
			name := strings.TrimPrefix(h.Name, "./")
			switch name {
			case "control", "conffiles", "config", "preinst", "postinst", "templates":
			default:
				continue // prerm, postrm, md5sums, shlibs, triggers... say nothing here
			}
			if h.Typeflag != tar.TypeReg || files[name] != nil {
				return malformed("control archive: %s is no file, or there twice", name)
			}
			if files[name], err = io.ReadAll(tr); err != nil {
				return malformed("control archive: %s: %w", name, err)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	c := &control{}
	if err := c.fields(files["control"]); err != nil {
		return nil, err
	}
	if o.Control != nil {
		o.Control(files["control"])
	}
	for line := range strings.Lines(string(files["conffiles"])) {
		line = strings.TrimRight(line, " \t\r\n")
		if strings.HasPrefix(line, "remove-on-upgrade ") || line == "" {
			continue // is not in the package (deb-conffiles(5))
		}
		if !strings.HasPrefix(line, "/") {
			return nil, malformed("conffiles: %q is not absolute", line)
		}
		c.conffiles = append(c.conffiles, line)
	}
	c.scripts = script.Input{
		Package: c.name, Arch: c.arch, Templates: files["templates"],
		Config: files["config"], Preinst: files["preinst"], Postinst: files["postinst"],
	}
	return c, nil
}

// fields reads the three fields that matter of the one paragraph (deb822(5)).
func (c *control) fields(text []byte) error {
	if text == nil {
		return malformed("the control archive has no control file")
	}
	want := map[string]*string{"package": &c.name, "version": &c.version, "architecture": &c.arch}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, maxControl)
	for sc.Scan() {
		line := sc.Text()
		if line == "" || line[0] == ' ' || line[0] == '\t' || line[0] == '#' {
			continue
		}
		key, val, ok := strings.Cut(line, ":")
		if !ok {
			return malformed("control file: %q is no field", line)
		}
		if f := want[strings.ToLower(key)]; f != nil {
			if *f != "" {
				return malformed("control file: field %s is there twice", key)
			}
			*f = strings.TrimSpace(val)
		}
	}
	if c.name == "" || c.version == "" || c.arch == "" {
		return malformed("control file: Package, Version or Architecture is missing")
	}
	return nil
}
