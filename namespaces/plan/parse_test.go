package plan

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseLines(t *testing.T) {
	vars := Variables("dev", alice)
	for _, tt := range []struct {
		name, text string
		want       []Op
	}{
		{"nothing", "# only a comment\n\n  \t\n", nil},
		{"version", "ninefold 1\ncd /\n", []Op{Chdir{"/"}}},
		{"no newline at the end", "cd /srv", []Op{Chdir{"/srv"}}},
		{"options apart and together", "bind -r -sd -- /a /b", []Op{Bind{Source: "/a", Target: "/b", Flags: Flags{ReadOnly: true, NoSuid: true, NoDev: true}}}},
		{"union", "bind -bc /a /b\nbind -a? /c /d", []Op{
			Bind{Source: "/a", Target: "/b", Where: Before, Create: true},
			Bind{Source: "/c", Target: "/d", Where: After, Optional: true},
		}},
		{"variables", "bind -R $home/src /n/${user}s", []Op{Bind{Source: "/home/alice/src", Target: "/n/alices", Recursive: true}}},
		{"no variables in quotes", "env A '$home'", []Op{Environment{"A", "$home"}}},
		{"quotes", "env A 'it''s '\\\n\t# why\n", []Op{Environment{"A", "it's "}}},
		{"quotes inside a word", "env A a'b c'd", []Op{Environment{"A", "ab cd"}}},
		{"empty word", "env A ''", []Op{Environment{"A", ""}}},
		{"newline in quotes", "file /a 'x\ny\n' mode=0600", []Op{File{Path: "/a", Content: "x\ny\n", Mode: 0o600}}},
		{"# inside a word", "env A a#b", []Op{Environment{"A", "a#b"}}},
		{"backslash", `env A \n\`, []Op{Environment{"A", `\n\`}}},
		{"continued", "mount tmpfs \\\n /a size=1m \\\n mode=0700\ncd /", []Op{
			Mount{Type: "tmpfs", Target: "/a", Options: []string{"size=1m", "mode=0700"}}, Chdir{"/"}}},
		{"defaults", "mkdir /a\nmkdir /b mode=0700 uid=$uid gid=$gid\nlink -x /c\nreadonly /a\nunmount /a", []Op{
			Mkdir{Path: "/a", Mode: 0o755}, Mkdir{Path: "/b", Mode: 0o700, UID: 1000, GID: 1000},
			Link{Text: "-x", Path: "/c"}, ReadOnly{"/a"}, Unmount{"/a"}}},
		{"other bytes", "bind /\xff\u00e4 '/\x01 '", []Op{Bind{Source: "/\xff\u00e4", Target: "/\x01 "}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseLines("f", []byte(tt.text), vars)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v\nwant %#v", got, tt.want)
			}
		})
	}
}

func TestParseLinesErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"verb", "\n\nbnid /a /b", "f:3: unknown verb bnid; did you mean bind?"},
		{"option", "bind -q /a /b", "f:1: bind: unknown option -q; known are -abcRrsdxu?"},
		{"missing word", "bind /a", "f:1: bind: the word TARGET is missing"},
		{"word too many", "cd /a /b", "f:1: cd: does not take the word /b"},
		{"key", "mkdir /a mdoe=0700", "f:1: mkdir: unknown word mdoe=; did you mean mode=?"},
		{"key twice", "mkdir /a uid=1 uid=2", "f:1: mkdir: uid= stands twice"},
		{"mode", "mkdir /a mode=999", "f:1: mkdir: bad value 999 of mode="},
		{"id that means none", "mkdir /a uid=4294967295", "bad value"},
		{"variable", "bind $hoem /n/x", "f:1: unknown variable $hoem; did you mean home?"},
		{"dollar", "env A $", "f:1: $ without a name"},
		{"brace", "env A ${home", "f:1: ${ without a name and a }"},
		{"quote", "cd /\nenv A 'x\ny\n", "f:2: the quote that starts here has no end"},
		{"carriage return", "cd /\r\ncd /", "f:1: a carriage return"},
		{"control character", "cd /\n\ncd /\x01", "f:3: the control character 0x01"},
		{"NUL in quotes", "env A 'x\x00'", "f:1: a NUL byte"},
		{"line of a continued line", "bind \\\n /a \\\n b", "f:1: bind: the target \"b\" is not absolute"},
		{"dot dot", "bind /a /b/../c", `f:1: bind: the target "/b/../c" is not clean; write "/c"`},
		{"trailing slash", "bind /a/ /b", "is not clean"},
		{"root", "bind /a /", "only an overlay can be the root"},
		{"proc", "bind /a /proc/1", "below /proc"},
		{"long path", "bind /a /" + strings.Repeat("a/", 2100) + "b", "longer than 4096"},
		{"long name", "bind /a /" + strings.Repeat("a", 256), "longer than 255"},
		{"a and b", "bind -ab /a /b", "exclude each other"},
		{"c alone", "bind -c /a /b", "-c needs -b"},
		{"c with a", "bind -ac /a /b", "-c needs -b"},
		{"R with b", "bind -bR /a /b", "-R does not go with"},
		{"mount type", "mount tmfs /a", "f:1: mount: unknown type of mount tmfs; did you mean tmpfs?"},
		{"mount option", "mount tmpfs /a siz=1m", "unknown option \"siz=1m\" of tmpfs; did you mean size=?"},
		{"mount option's value", "mount tmpfs /a size=1m,mode=0", "has a bad value"},
		{"overlay", "mount overlay /a layer dir /b", "f:1: mount: an overlay is made with bind -a or bind -b here"},
		{"compiler's verb", "privileges cap_sys_admin", "f:1: privileges: the profile's keys decide this"},
		{"class", "class trusted", "f:1: unknown verb class"},
		{"origin", "bind /a /b origin=0", "f:1: bind: whose a line is follows from whose file it stands in"},
		{"version", "ninefold 2", "f:1: the file has version 2"},
		{"version later", "cd /\nninefold 1", "f:2: unknown verb ninefold"},
		{"variable name", "env A-B c", `f:1: env: the variable name "A-B"`},
		{"large", strings.Repeat("#", MaxText+1), "f:1: the file is larger than 1 MiB"},
		{"many", strings.Repeat("cd /\n", MaxOps+1), "f:10001: more than 10000 steps"},
		{"many words", "user " + strings.Repeat("1 ", maxWords), "more than 4096 words"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ops, err := ParseLines("f", []byte(tt.text), Variables("dev", alice))
			if err == nil {
				t.Fatalf("read as %#v", ops)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("got  %q\nwant %q", err, tt.want)
			}
			var e *Error
			if !errors.As(err, &e) || e.Err == nil {
				t.Errorf("%#v is no *Error that says what it is", err)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	const head = "ninefold 1\nclass trusted\n"
	for _, tt := range []struct {
		name, text, want string
		is               error
	}{
		{"empty", "", "f:1: the first line has to be: ninefold 1", ErrVersion},
		{"no version", "class trusted\n", "f:1: the first line", ErrVersion},
		{"newer", "# c\nninefold 2\n", "f:2: the file has version 2", ErrVersion},
		{"class", "ninefold 1\nclass trustd", "f:2: unknown class trustd; did you mean trusted?", ErrInvalid},
		{"class twice", head + "class untrusted", "f:3: class stands once", ErrInvalid},
		{"namespaces", head + "namespaces pid", "the first word has to be mount", ErrInvalid},
		{"namespace", head + "namespaces mount pidd", "unknown namespace pidd; did you mean pid?", ErrInvalid},
		{"net", head + "namespaces mount net=nne", "unknown network nne; did you mean none?", ErrInvalid},
		{"layer", head + "mount overlay / dir /", "f:3: mount: dir where a layer or the upper should be", ErrInvalid},
		{"layer after upper", head + "mount overlay / layer dir / upper layer dir /", "does not take the word layer", ErrInvalid},
		{"kind", head + "mount overlay / layer composfs /a data=/b", "did you mean composefs?", ErrInvalid},
		{"no data", head + "mount overlay / layer composefs /a", "data directory", ErrInvalid},
		{"sub", head + "mount overlay / layer dir / sub=../x", "directory in the layer", ErrInvalid},
		{"upper name", head + "mount overlay / layer dir / upper name=..", "not a usable file name", ErrInvalid},
		{"upper size", head + "mount overlay / layer dir / upper size=1", "too small", ErrInvalid},
		{"kept upper with a size", head + "mount overlay / layer dir / upper dir=/k size=1000000", "cannot be given a size", ErrInvalid},
		{"user", head + "user -1 0", "not an id", ErrInvalid},
		{"limit", head + "limit nofile many", "neither a whole number", ErrInvalid},
		{"no variables", head + "cd $home", "unknown variable $home; there are none", ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse("f", []byte(tt.text))
			if err == nil {
				t.Fatalf("read as %#v", p)
			}
			if !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.is) {
				t.Errorf("got  %q\nwant %q", err, tt.want)
			}
		})
	}
}

func TestVersioned(t *testing.T) {
	for text, want := range map[string]bool{
		"ninefold 1": true, "# x\n\nninefold 2\ncd /": true, "cd /": false, "": false, "ninefold": false,
	} {
		if Versioned([]byte(text)) != want {
			t.Errorf("Versioned(%q) is %v", text, !want)
		}
	}
}
