package debian

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ninefold/roots/lock"
)

// machine makes a root directory with apt's files.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, "etc/apt", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestHostSources(t *testing.T) {
	root := machine(t, map[string]string{
		"sources.list": "# old style\ndeb [arch=amd64 signed-by=/k1.gpg,/k2.gpg] http://m/debian bookworm main contrib # tail\n" +
			"deb-src http://m/debian bookworm main\ndebris x y\ndeb [open http://m/ x main\ndeb http://m/debian\n",
		"sources.list.d/a.sources": "# c\nTypes: deb deb-src\nURIs: http://a/debian http://b/debian\nSuites: trixie\n trixie-updates\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n\n" +
			"Enabled: no\nTypes: deb\nURIs: http://c/\nSuites: x\nComponents: main\n\nTypes: deb-src\nURIs: http://d/\nSuites: x\nComponents: main\n",
		"sources.list.d/broken.sources": "not control data",
		"sources.list.d/x.list.save":    "deb http://saved/ x main\n",
	})
	key := "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n"
	want := []HostSource{
		{URI: "http://m/debian", Suites: []string{"bookworm"}, Components: []string{"main", "contrib"}, SignedBy: []string{"/k1.gpg", "/k2.gpg"}},
		{URI: "http://a/debian", Suites: []string{"trixie", "trixie-updates"}, Components: []string{"main"}, Key: key},
		{URI: "http://b/debian", Suites: []string{"trixie", "trixie-updates"}, Components: []string{"main"}, Key: key},
	}
	if got := HostSources(root); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := HostSources(t.TempDir()); len(got) != 0 {
		t.Errorf("on a machine without apt: %v", got)
	}
}

func TestArchives(t *testing.T) {
	const bookworm = "Types: deb\nURIs: http://near/debian/\nSuites: bookworm bookworm-updates bookworm-backports\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n" +
		"Types: deb\nURIs: http://sec/debian-security\nSuites: bookworm-security\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
	foreign := map[string]string{"sources.list.d/a.list": "deb https://packages.example.org/apt stable main\n", "sources.list.d/debian.sources": bookworm}
	for _, tt := range []struct {
		name  string
		files map[string]string
		q     lock.Question
		want  string
	}{
		{"the machine's mirror for another release", foreign, lock.Question{Suite: "trixie", Updates: true},
			"http://near/debian trixie, http://near/debian trixie-updates, http://sec/debian-security trixie-security"},
		{"without updates", foreign, lock.Question{Suite: "trixie"}, "http://near/debian trixie"},
		{"a release that has none", foreign, lock.Question{Suite: "sid", Updates: true}, "http://near/debian sid"},
		{"a mirror of the recipe's own", foreign, lock.Question{Suite: "trixie", Updates: true, Mirror: "http://x/debian/"}, "http://x/debian trixie"},
		{"a machine without apt", nil, lock.Question{Suite: "trixie", Updates: true},
			"http://deb.debian.org/debian trixie, http://deb.debian.org/debian trixie-updates, http://deb.debian.org/debian-security trixie-security"},
		{"by the name of the suite", map[string]string{"sources.list": "deb http://m/debian stable main\ndeb http://m/debian-security stable-security main\n"},
			lock.Question{Suite: "trixie", Updates: true}, "http://m/debian trixie, http://m/debian-security trixie-security"},
		{"file mirror", map[string]string{"sources.list": "deb file:/srv/debian bookworm main\n"}, lock.Question{Suite: "bookworm", Updates: true}, "file:///srv/debian bookworm"},
	} {
		list, err := archives(tt.q, machine(t, tt.files))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range list {
			got = append(got, a.mirror+" "+a.suite)
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, strings.Join(got, ", "), tt.want)
		}
	}
	list, _ := archives(lock.Question{Suite: "trixie"}, machine(t, foreign))
	if !reflect.DeepEqual(list[0].keyrings, []string{"/usr/share/keyrings/debian-archive-keyring.gpg"}) {
		t.Errorf("keyrings are %v", list[0].keyrings)
	}
	list, _ = archives(lock.Question{Suite: "trixie", Keyring: "/own.gpg"}, machine(t, foreign))
	if !reflect.DeepEqual(list[0].keyrings, []string{"/own.gpg"}) {
		t.Errorf("keyrings are %v", list[0].keyrings)
	}
}

func TestProxies(t *testing.T) {
	proxies := parseProxies([]byte("Acquire::http \"\";\nAcquire::http::Proxy \"http://p:1/\";\nAcquire::http::Proxy::Direct.Example \"DIRECT\";\nAcquire::https::Proxy \"\";\nAPT::x \"Acquire::http::Proxy \\\"no\\\";\";\n"))
	f := proxyFunc(proxies)
	for address, want := range map[string]string{
		"http://deb.debian.org/x":  "http://p:1/",
		"https://deb.debian.org/x": "http://p:1/",
		"http://direct.example/x":  "<nil>",
	} {
		r, _ := http.NewRequest(http.MethodGet, address, nil)
		u, err := f(r)
		got := "<nil>"
		if u != nil {
			got = u.String()
		}
		if err != nil || got != want {
			t.Errorf("%s goes through %s, %v; want %s", address, got, err, want)
		}
	}
}

func FuzzSources(f *testing.F) {
	f.Add("Types: deb\nURIs: http://a/\nSuites: x\nSigned-By:\n -----BEGIN\n")
	f.Add("deb [signed-by=/a] http://m/ x main")
	f.Fuzz(func(t *testing.T, text string) {
		sources, _ := parseSources(text)
		for _, s := range append(sources, parseList(text)...) {
			if s.URI == "" {
				t.Errorf("a source without an address from %q", text)
			}
		}
	})
}
