package script

import (
	"encoding/json"
	"strings"
	"testing"
)

func postinst(text string) Result {
	return Read(Input{Package: "demo", Arch: "amd64", Postinst: []byte("#!/bin/sh\nset -e\n" + text)})
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"alternative with slaves over several lines": {`
			if [ "$1" = configure ]; then
			  update-alternatives --quiet --install /usr/bin/editor editor /bin/demo 40 \
			    --slave /usr/share/man/man1/editor.1.gz editor.1.gz \
			            /usr/share/man/man1/demo.1.gz
			fi`,
			`{"alternatives":[{"name":"editor","link":"/usr/bin/editor","path":"/usr/bin/demo","priority":40,` +
				`"slaves":{"/usr/share/man/man1/editor.1.gz":"/usr/share/man/man1/demo.1.gz"}}]}`},
		"loop over words": {`for x in a "b"; do update-alternatives --install /l/$x ${x} "/p/$x" 1; done`,
			`{"alternatives":[{"name":"a","link":"/l/a","path":"/p/a","priority":1},{"name":"b","link":"/l/b","path":"/p/b","priority":1}]}`},
		"loop over lines": {"while read n p; do update-alternatives --install /l $n /p/$n $p; done <<EOF\na 5\nb 6 \nEOF",
			`{"alternatives":[{"name":"a","link":"/l","path":"/p/a","priority":5},{"name":"b","link":"/l","path":"/p/b","priority":6}]}`},
		"arguments from a function's output": {`
			slave() { dir=$1; echo "--slave $dir/$2 $2 $dir/$3"; }
			update-alternatives --install /l n /p 1 $(slave /usr/bin s t)`,
			`{"alternatives":[{"name":"n","link":"/l","path":"/p","priority":1,"slaves":{"/usr/bin/s":"/usr/bin/t"}}]}`},
		"override unless there is one": {`
			f=/usr/bin/demo
			if ! dpkg-statoverride --list "$f" >/dev/null; then
			  dpkg-statoverride --update --add root mail 2755 "$f"
			fi`,
			`{"overrides":[{"path":"/usr/bin/demo","user":"root","group":"mail","mode":1517}]}`},
		"capability of a diverted name": {`
			P=$(dpkg-divert --truename /bin/ping)
			if command -v setcap >/dev/null; then setcap cap_net_raw+ep $P; else chmod u+s $P; fi`,
			`{"capabilities":[{"path":"/usr/bin/ping","caps":"cap_net_raw+ep"}]}`},
		"diversion taken back": {`
			dpkg-divert --package demo --add --rename --divert /usr/bin/x.real /usr/bin/x
			dpkg-divert --quiet --divert /usr/bin/y.real /usr/bin/y
			dpkg-divert --package demo --remove --rename /usr/bin/x
			dpkg-divert --add --no-rename --divert /lib/z.usr-is-merged /lib/z`,
			`{"diversions":[{"from":"/usr/bin/y","to":"/usr/bin/y.real","by":"demo"}]}`},
		"system user and its groups": {`
			case "$1" in
			configure)
			  getent passwd demo >/dev/null || adduser --system --group --no-create-home --home /var/lib/demo \
			    --gecos "Demo daemon" --quiet demo
			  adduser demo audio
			  usermod -s /bin/false demo ;;
			esac`,
			`{"users":[{"name":"demo","uid":-1,"group":"demo","home":"/var/lib/demo","shell":"/bin/false","comment":"Demo daemon","groups":["audio"]}],"groups":[{"name":"demo","gid":-1}]}`},
		"useradd and groupadd": {`groupadd -r -g 42 shadow; useradd -r -d / -N -g shadow -G a,b u`,
			`{"users":[{"name":"u","uid":-1,"group":"shadow","home":"/","groups":["a","b"]}],"groups":[{"name":"shadow","gid":42}]}`},
		"user through a function of all arguments": {`
			in_root() { if [ -z "$DPKG_ROOT" ]; then "$@"; else chroot "$DPKG_ROOT" "$@"; fi; }
			in_root addgroup --system "$DPKG_MAINTSCRIPT_PACKAGE"`,
			`{"groups":[{"name":"demo","gid":-1}]}`},
		"nothing on an upgrade only": {`
			if [ -n "$2" ] && dpkg --compare-versions "$2" lt 1.0; then addgroup --system old; fi
			if dpkg --compare-versions "$2" lt-nl 1.0; then addgroup --system older; fi
			[ "$1" = configure ] || exit 0
			[ -d /run/systemd/system ] && addgroup --system booted
			exit 0
			addgroup --system never`,
			`{}`},
		"both ways where it is not known": {`if grep -q x /etc/y; then addgroup --system a; else addgroup --system b; exit 0; fi; addgroup --system c`,
			`{"groups":[{"name":"a","gid":-1},{"name":"b","gid":-1},{"name":"c","gid":-1}]}`},
		"other subcommands": {`
			update-alternatives --remove a /b; update-alternatives --auto "$unknown"
			dpkg-divert --remove "$unknown"; setcap -r "$unknown"`,
			`{}`},
		"mentioned in text and comments": {"# adduser --system $x\necho 'adduser --system $x'\ncat <<E\nadduser $x\nE\n", `{}`},
		"expansions": {`a=/usr/bin/demo.real; b=${a%.real}; addgroup --system "${b##*/}-${c:-$(basename /x/y)}" || true; unset c; addgroup --system "${b##*/}-${c:-$(basename /x/y)}"`,
			`{"groups":[{"name":"demo-y","gid":-1}]}`},
	} {
		r := postinst(c.text)
		got, err := json.Marshal(r.Declared)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
		if name == "expansions" { // c is not known at first
			if len(r.Unread) != 1 {
				t.Errorf("%s: %v", name, r.Unread)
			}
		} else if len(r.Unread) > 0 {
			t.Errorf("%s: not read: %v", name, r.Unread)
		}
	}
}

func TestUnreadNamesThePlace(t *testing.T) {
	r := postinst("\nx=$(cat /etc/x)\nif true; then\n  dpkg-statoverride --add root \"$x\" 2755 /usr/bin/demo\nfi\n")
	if len(r.Unread) != 1 || r.Unread[0].Script != "postinst" || r.Unread[0].Line != 6 || !strings.Contains(r.Unread[0].Text, "--add root") {
		t.Fatalf("%+v", r.Unread)
	}
}

func TestUnread(t *testing.T) {
	for name, text := range map[string]string{
		"unknown name":             `adduser --system "$(hostname)"`,
		"unknown option":           `useradd --frobnicate x`,
		"unknown loop":             `for f in /etc/*.d; do dpkg-divert --add $f; done`,
		"relative path":            `setcap cap_net_raw+ep bin/ping`,
		"unknown capability":       `setcap cap_all_of_it+ep /bin/ping`,
		"in a string":              `eval "adduser --system $x"`,
		"recursion":                `f() { adduser --system u$1; f 1$1; }; f 1`,
		"name with a colon":        `adduser --system a:b`,
		"does not parse":           `if adduser --system x`,
		"sysusers from a pipe":     `echo 'u x -' | systemd-sysusers -`,
		"lines that are not there": `while read n; do addgroup --system $n; done < /etc/list`,
	} {
		if r := postinst(text); len(r.Unread) == 0 {
			t.Errorf("%s: read as %+v", name, r.Declared)
		}
	}
}

func TestOtherLanguages(t *testing.T) {
	perl := "#!/usr/bin/perl -w\nuse strict;\n# adduser here is only a comment\nprint 1;\n"
	if r := Read(Input{Package: "demo", Config: []byte(perl)}); len(r.Unread) != 0 {
		t.Errorf("a script that declares nothing: %v", r.Unread)
	}
	r := Read(Input{Package: "demo", Preinst: []byte(perl + "system('adduser --system x');\n")})
	if len(r.Unread) != 1 || r.Unread[0].Line != 5 {
		t.Errorf("a script that calls adduser: %v", r.Unread)
	}
}

func TestDebconfDefaults(t *testing.T) {
	text := []byte(`#!/bin/sh
. /usr/share/debconf/confmodule
db_get demo/setuid
if [ "$RET" = true ]; then mode=4755; else mode=0755; fi
for f in demo; do chown root:root "/usr/bin/$f"; chmod $mode "/usr/bin/$f"; done
`)
	for def, want := range map[string]string{"true": "4755", "false": "0755"} {
		r := Read(Input{Package: "demo", Postinst: text, Templates: []byte("Template: demo/setuid\nType: boolean\nDefault: " + def + "\n")})
		if len(r.Permissions) != 2 || r.Permissions[1].Mode != want || r.Permissions[0].User != "root" {
			t.Errorf("default %s: %+v", def, r.Permissions)
		}
	}
	if r := Read(Input{Package: "demo", Postinst: text}); len(r.Permissions) != 2 || r.Permissions[1].Unread == nil {
		t.Errorf("without a template: %+v", r.Permissions)
	}
}

func TestOwnFilesAreThere(t *testing.T) {
	text := []byte("#!/bin/sh\nif [ -e /bin/demo ]; then s=1; else s=2; fi\nupdate-alternatives --install /l n /p $s\n")
	r := Read(Input{Package: "demo", Postinst: text, Has: func(p string) bool { return p == "/usr/bin/demo" }})
	if len(r.Unread) != 0 || len(r.Declared.Alternatives) != 1 || r.Declared.Alternatives[0].Priority != 1 {
		t.Errorf("%+v", r)
	}
}

func TestGlobMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"a*c", "abc", true}, {"a*c", "abd", false}, {"[a-c]?", "bz", true}, {"[!a]", "a", false},
		{`\*`, "*", true}, {`\*`, "x", false}, {"*.deb*", "a.deb.x", true}, {"", "x", false}, {"[", "[", true},
	} {
		if got := globMatch(c.pattern, c.s); got != c.want {
			t.Errorf("globMatch(%q, %q) = %t", c.pattern, c.s, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("for i in a b; do case $i in a*) adduser --system $i;; esac; done", "Template: a\nDefault: b\n")
	f.Add("f() { f; f; }; f; while read x; do setcap $x; done <<E\na b\nE", "")
	f.Add("x=${y%%*/}; : ${z:=$(echo a | b)}; dpkg-divert --add \"$x\"", "")
	f.Fuzz(func(t *testing.T, text, templates string) {
		r := Read(Input{Package: "demo", Arch: "amd64", Postinst: []byte("#!/bin/sh\n" + text), Templates: []byte(templates)})
		for _, d := range r.Declared.Overrides {
			if !strings.HasPrefix(d.Path, "/") || strings.Contains(d.Path, "/../") {
				t.Fatalf("override of %q", d.Path)
			}
		}
	})
}
