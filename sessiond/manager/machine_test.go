package manager

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/config"
)

// hostWith makes a machine of files; a value that begins with "->" is a link.
func hostWith(t *testing.T, files map[string]string) machine {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "->"); ok {
			err = os.Symlink(target, p)
		} else {
			err = os.WriteFile(p, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return machine{root}
}

var everything = Projected{Resolv: true, Hosts: true, MachineID: true, TimeZone: true, Locale: true, CA: "host", Network: true, ZoneInfo: true}

func steps(t *testing.T, m machine, p Projected) []string {
	t.Helper()
	projections, lines, err := m.projections(p)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range projections {
		out = append(out, "dir "+p.Dir)
		for _, l := range p.Links {
			out = append(out, plan.PrintOp(l))
		}
	}
	for _, l := range lines {
		out = append(out, plan.PrintOp(l.Op))
	}
	return out
}

func TestSingleFilesAreLinksIntoALiveDirectory(t *testing.T) {
	m := hostWith(t, map[string]string{"etc/resolv.conf": "nameserver 192.0.2.1\n", "etc/hosts": "", "etc/machine-id": "x", "etc/localtime": "->/usr/share/zoneinfo/Europe/Oslo"})
	got := steps(t, m, everything)
	want := []string{
		"dir /etc",
		"link /run/ninefold/machine/etc/resolv.conf /etc/resolv.conf",
		"link /run/ninefold/machine/etc/hosts /etc/hosts",
		"link /run/ninefold/machine/etc/machine-id /etc/machine-id",
		"link /run/ninefold/machine/etc/localtime /etc/localtime",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestResolvConfOfAResolverIsFollowed(t *testing.T) {
	for _, target := range []string{"../run/systemd/resolve/stub-resolv.conf", "/run/systemd/resolve/stub-resolv.conf"} {
		m := hostWith(t, map[string]string{"etc/resolv.conf": "->" + target, "run/systemd/resolve/stub-resolv.conf": ""})
		got := steps(t, m, everything)
		for _, want := range []string{"dir /run/systemd/resolve", "link /run/ninefold/machine/run/systemd/resolve /run/systemd/resolve"} {
			if !slices.Contains(got, want) {
				t.Errorf("%s: no step %q in %q", target, want, got)
			}
		}
		offline := everything
		offline.Network = false
		if got := steps(t, m, offline); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "resolv") }) {
			t.Errorf("a session without network is led to the host's resolver: %q", got)
		}
	}
}

func TestTrustRootsComeFromOnePlace(t *testing.T) {
	m := hostWith(t, map[string]string{"etc/ssl/certs/ca-certificates.crt": "", "usr/share/ca-certificates/x.crt": "", "usr/local/share/ca-certificates/own.crt": "", "srv/trust/ca-certificates.crt": ""})
	p := Projected{CA: "host"}
	want := []string{"bind -rsdx? /etc/ssl/certs /etc/ssl/certs", "bind -rsdx? /usr/share/ca-certificates /usr/share/ca-certificates", "bind -rsdx? /usr/local/share/ca-certificates /usr/local/share/ca-certificates"}
	if got := steps(t, m, p); !slices.Equal(got, want) {
		t.Errorf("host: got %q, want %q", got, want)
	}
	p.CA = "image"
	if got := steps(t, m, p); len(got) != 0 {
		t.Errorf("image: got %q, want nothing", got)
	}
	p.CA = "/srv/trust"
	if got, want := steps(t, m, p), []string{"bind -rsdx? /srv/trust /etc/ssl/certs"}; !slices.Equal(got, want) {
		t.Errorf("directory: got %q, want %q", got, want)
	}
	p.CA = "/srv/no-such"
	if _, _, err := m.projections(p); err == nil {
		t.Error("a directory that is not there is no error")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		"[trust]\nca = \"image\"\n": "", "": "",
		"[trust]\nca = \"certs\"\n":    `trust.ca is "certs"`,
		"[trust]\nca = \"/a/../b\"\n":  "absolute directory",
		"[trsut]\nca = \"image\"\n":    `did you mean "trust"?`,
		"[trust]\ncas = \"image\"\n\n": "ninefold.toml:2:1",
	} {
		m := hostWith(t, map[string]string{"ninefold.toml": text})
		_, err := config.Load([]string{m.at("none"), m.root})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestLanguage(t *testing.T) {
	m := hostWith(t, map[string]string{"etc/default/locale": "# x\nLC_TIME=C\nLANG=\"de_DE.UTF-8\"\n"})
	if got := m.language(); got != "de_DE.UTF-8" {
		t.Errorf("got %q", got)
	}
	f := imageFacts{Locales: []string{"C.utf8", "de_DE.utf8"}}
	for name, want := range map[string]bool{"de_DE.UTF-8": true, "C.UTF-8": true, "C": true, "fr_FR.UTF-8": false, "de_DE": false} {
		if f.hasLocale(name) != want {
			t.Errorf("hasLocale(%s) is not %v", name, want)
		}
	}
}
