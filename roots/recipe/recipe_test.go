package recipe

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const whole = `
version = 1
name = "xfce"
summary = "The XFCE desktop"
from = "debian-base"
packages = ["xfce4", "firefox-esr=128.3.1esr-1~deb12u1", "g++"]

[source]
recommends = true

[finish]
steps = ["ldconfig"]
run = ["true"]

[exclude]
docs = true
paths = ["/usr/share/games", "usr/share/*.bak"]

[environment]
LANG = "C.UTF-8"

[[declare.users]]
name = "games"

[[declare.users]]
name = "mail"
uid = 8

[[declare.groups]]
name = "kvm"

[[declare.capabilities]]
path = "/usr/bin/ping"
caps = "cap_net_raw+ep"

[[declare.overrides]]
path = "/usr/bin/at"
user = "daemon"
group = "daemon"
mode = 0o6755
`

func TestParse(t *testing.T) {
	r, err := Parse("xfce.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if r.Declare.Users[0].UID != -1 || r.Declare.Users[1].UID != 8 || r.Declare.Groups[0].GID != -1 {
		t.Errorf("a missing id has to be -1: %+v", r.Declare)
	}
	if !reflect.DeepEqual(r.Exclude.Paths, []string{"usr/share/games", "usr/share/*.bak"}) {
		t.Errorf("exclude paths are %q", r.Exclude.Paths)
	}
	if r.Declare.Overrides[0].Mode != 0o6755 || !*r.Source.Recommends || len(r.Packages) != 3 {
		t.Errorf("parsed to %+v", r)
	}
}

func TestParseErrors(t *testing.T) {
	head := "version = 1\nname = \"x\"\nfrom = \"host\"\n"
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", head + "pakages = []", `r.toml:4:1: unknown key "pakages"; did you mean "packages"?`},
		{"no version", "name = \"x\"\nfrom = \"host\"", "version is missing"},
		{"version 2", "version = 2\nname = \"x\"\nfrom = \"host\"", "r.toml:1:1: version 2 is not known"},
		{"no name", "version = 1\nfrom = \"host\"", "name is missing"},
		{"path as name", "version = 1\nname = \"../x\"\nfrom = \"host\"", `r.toml:2:1: name "../x"`},
		{"reserved name", "version = 1\nname = \"host\"\n[source]\nsuite = \"trixie\"", "stands for the running machine"},
		{"own parent", "version = 1\nname = \"x\"\nfrom = \"x\"", "its own parent"},
		{"no source", "version = 1\nname = \"x\"", "has to say suite, directory or tarball"},
		{"two sources", head + "[source]\nsuite = \"a\"\ndirectory = \"/b\"", "r.toml:4:2: suite, directory and tarball exclude"},
		{"package name", head + "packages = [\n \"ok\",\n \"Bad\"]", `r.toml:6:2: "Bad" is not the name of a package`},
		{"removal", head + "packages = [\"xterm-\"]", `"xterm-" is not the name of a package`},
		{"option", head + "packages = [\"--purge\"]", `"--purge" is not the name of a package`},
		{"architecture", head + "packages = [\"libc6:i386\"]", "other architectures"},
		{"package version", head + "packages = [\"bash=x y\"]", `"x y" is not a version`},
		{"twice", head + "packages = [\"bash\", \"bash=1\"]", "listed twice"},
		{"suite", head + "[source]\nsuite = \"../etc\"", "not the name of a suite"},
		{"mirror scheme", head + "[source]\nmirror = \"ftp://x/\"", "the scheme has to be"},
		{"mirror password", head + "[source]\nmirror = \"https://a:b@x/\"", "no place for a password"},
		{"tarball alone", head + "[source]\ntarball = \"/x.tar\"", "needs sha256"},
		{"sha256 of zeros", head + "[source]\ntarball = \"/x.tar\"\nsha256 = \"" + strings.Repeat("0", 64) + "\"", "no file's hash"},
		{"sha256 alone", head + "[source]\nsha256 = \"00\"", "belongs to a tarball"},
		{"packages of a directory", head + "packages = [\"bash\"]\n[source]\ndirectory = \"/x\"", "packages come from a suite"},
		{"root's id", head + "[[declare.users]]\nname = \"toor\"\nuid = 0", "r.toml:4:11: \"toor\" must not have the id of root"},
		{"passwd field", head + "[[declare.users]]\nname = \"a\"\ncomment = \"a:b\"", "holds a colon"},
		{"relative path", head + "[[declare.capabilities]]\npath = \"usr/bin/x\"\ncaps = \"cap_kill+ep\"", "absolute path"},
		{"dots", head + "[[declare.overrides]]\npath = \"/usr/../x\"\nuser = \"a\"\ngroup = \"a\"\nmode = 1", "without . and .."},
		{"no mode", head + "[[declare.overrides]]\npath = \"/x\"\nuser = \"a\"\ngroup = \"a\"", "mode is missing"},
		{"caps", head + "[[declare.capabilities]]\npath = \"/x\"\ncaps = \"all\"", "as setcap takes them"},
		{"pattern", head + "[exclude]\npaths = [\"a[\"]", "not a pattern"},
		{"outside", head + "[exclude]\npaths = [\"../x\"]", "not a path inside the image"},
		{"variable", head + "[environment]\n\"A B\" = \"x\"", `"A B" is not the name of an environment variable`},
		{"empty command", head + "[finish]\nrun = [\" \"]", "must not be empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("r.toml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

func TestCheckSteps(t *testing.T) {
	r, err := Parse("r.toml", []byte("version = 1\nname = \"x\"\nfrom = \"host\"\n[finish]\nsteps = [\"ldconfg\"]"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CheckSteps([]string{"ldconfig"}); err == nil || !strings.Contains(err.Error(), `r.toml:5:10: there is no finishing step "ldconfg"; did you mean "ldconfig"?`) {
		t.Errorf("got %v", err)
	}
	if err := r.CheckSteps([]string{"ldconfg"}); err != nil {
		t.Error(err)
	}
}

func set(t *testing.T, texts ...string) (*Set, error) {
	t.Helper()
	var all []*Recipe
	for _, text := range texts {
		name, rest, _ := strings.Cut(text, "|")
		r, err := Parse(name+".toml", []byte("version = 1\nname = \""+name+"\"\n"+rest))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return NewSet(all...)
}

func TestChain(t *testing.T) {
	s, err := set(t, "games|from = \"xfce\"", "base|[source]\nsuite = \"trixie\"\nmirror = \"http://m/\"\nrecommends = true", "xfce|from = \"base\"\n[source]\nrecommends = false", "tools|from = \"host\"")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Chain("games")
	if err != nil {
		t.Fatal(err)
	}
	if len(c) != 3 || c[0].Name != "base" || c.Last().Name != "games" || c.OnHost() {
		t.Fatalf("chain is %v", c)
	}
	src := c.Source()
	if src.Suite != "trixie" || src.Mirror != "http://m/" || *src.Recommends || !reflect.DeepEqual(src.Components, []string{"main"}) {
		t.Errorf("inherited source is %+v", src)
	}
	if c, err := s.Chain("tools"); err != nil || !c.OnHost() {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestChainErrors(t *testing.T) {
	s, err := set(t, "a|from = \"c\"", "b|from = \"a\"", "c|from = \"b\"", "xfce|from = \"debian-bse\"", "debian-base|from = \"host\"")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Chain("a"); !errors.Is(err, ErrCycle) || !strings.Contains(err.Error(), "b.toml:3:1: recipes go round in a circle: a -> c -> b -> a") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Chain("xfce"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), `xfce.toml:3:1: recipe "xfce" comes from "debian-bse", which is not there; did you mean "debian-base"?`) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Chain("xfec"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), `did you mean "xfce"?`) {
		t.Errorf("got %v", err)
	}
	if _, err := set(t, "a|from = \"host\"", "a|from = \"host\""); !errors.Is(err, ErrDuplicate) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("version = 1\nname = 'a'\n[source]\nsuite = 'x'")
	f.Add("[[declare.users]]\nname='a'\n[declare]\nusers=[]")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse("r.toml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "r.toml:") {
				t.Errorf("error does not name the file: %v", err)
			}
			return
		}
		if err := r.Validate(); err != nil {
			t.Errorf("valid once, then not: %v", err)
		}
		for _, u := range r.Declare.Users {
			if u.UID == 0 && u.Name != "root" {
				t.Errorf("user %q got the id of root", u.Name)
			}
		}
	})
}
