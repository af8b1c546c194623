package identity

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const hostPasswd = "root:x:0:0:root:/root:/bin/bash\n# note\nmia:x:1000:1000:Mia,,,:/home/mia:/usr/bin/fish\n"
const hostGroup = "root:x:0:\nvideo:x:44:mia\nmia:x:1000:\nrender:x:105:other,mia\nwheel:x:10:other\n"

func host(t *testing.T, getent string) Host {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"passwd": hostPasswd, "group": hostGroup} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := Host{Etc: dir, Getent: filepath.Join(dir, "getent")}
	if err := os.WriteFile(h.Getent, []byte("#!/bin/sh\n"+getent), 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestLocalUser(t *testing.T) {
	h := host(t, "exit 3\n") // must not be asked
	for _, name := range []string{"mia", "1000"} {
		u, err := h.ByName(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		if u.Name != "mia" || u.Home != "/home/mia" || u.Shell != "/usr/bin/fish" || !slices.Equal(u.Groups, []uint32{44, 105, 1000}) || u.GroupNames[105] != "render" {
			t.Errorf("%s: got %+v", name, u)
		}
	}
}

func TestDirectoryUser(t *testing.T) {
	h := host(t, `[ "$1" = -- ] || exit 9
case "$2 $3" in
"passwd eve") echo "eve:*:70001:70001:Eve:/net/eve:/bin/zsh" ;;
"initgroups eve") echo "eve   70001 70002 44" ;;
"group 70002") echo "staff-eu:*:70002:eve" ;;
*) exit 2 ;;
esac
`)
	u, err := h.ByName(context.Background(), "eve")
	if err != nil {
		t.Fatal(err)
	}
	if u.UID != 70001 || !slices.Equal(u.Groups, []uint32{44, 70001, 70002}) || u.GroupNames[70002] != "staff-eu" {
		t.Errorf("got %+v", u)
	}
	for _, name := range []string{"nobody-at-all", "", "a:b", "-x"} {
		if _, err := h.ByName(context.Background(), name); !errors.Is(err, ErrNoUser) {
			t.Errorf("%q: got %v, want ErrNoUser", name, err)
		}
	}
}

func TestABrokenDirectoryIsNotAMissingUser(t *testing.T) {
	h := host(t, "exit 9\n")
	if _, err := h.ByName(context.Background(), "eve"); err == nil || errors.Is(err, ErrNoUser) {
		t.Fatalf("got %v, want an error that is not ErrNoUser", err)
	}
}

func TestGroups(t *testing.T) {
	h := host(t, `case $2$3 in groupstaff) echo 'staff:*:70000:mia';; *) exit 2;; esac`)
	for name, want := range map[string]bool{"wheel": true, "staff": true, "weel": false, "": false, "a:b": false, "10": false} {
		if got, err := h.HasGroup(t.Context(), name); err != nil || got != want {
			t.Errorf("%q: %v %v", name, got, err)
		}
	}
	if _, err := host(t, "exit 5").HasGroup(t.Context(), "staff"); err == nil {
		t.Error("a name service that fails says nothing of a group")
	}
}

func TestProjectionIntoAnImage(t *testing.T) {
	u := User{Name: "mia", UID: 1000, GID: 1000, Comment: "Mia:\nroot::0:0", Home: "/home/mia", Shell: "/usr/bin/fish",
		Groups: []uint32{44, 105, 1000, 5000}, GroupNames: map[uint32]string{44: "video", 105: "render", 1000: "mia"}}
	image := Accounts{
		Passwd: "root:x:0:0:root:/root:/bin/bash\nguest:x:1000:100::/:/bin/sh\nmessagebus:x:101:101::/:/usr/sbin/nologin",
		Group:  "root:x:0:\nvideo:x:44:\nmessagebus:x:105:\nrender:x:106:\nmail:x:8:\n",
	}
	got := image.For(u, Shell(u, func(p string) bool { return p == "/bin/bash" }))
	wantPasswd := "root:x:0:0:root:/root:/bin/bash\nmia:x:1000:1000:Mia  root  0 0:/home/mia:/bin/bash\nmessagebus:x:101:101::/:/usr/sbin/nologin\n"
	if got.Passwd != wantPasswd {
		t.Errorf("passwd:\n%swant:\n%s", got.Passwd, wantPasswd)
	}
	for _, line := range []string{"video:x:44:mia\n", "render:x:105:mia\n", "mia:x:1000:\n", "group5000:x:5000:mia\n", "mail:x:8:\n"} {
		if !strings.Contains(got.Group, line) {
			t.Errorf("group lacks %q:\n%s", line, got.Group)
		}
	}
	if strings.Count(got.Group, "render:") != 1 || strings.Count(got.Group, ":105:") != 1 {
		t.Errorf("a name or number stands twice:\n%s", got.Group)
	}
}

func TestAMergedRuntimeAddsItsSystemAccounts(t *testing.T) {
	h := host(t, "exit 2\n")
	on, err := h.Accounts()
	if err != nil {
		t.Fatal(err)
	}
	got := on.With(Accounts{
		Passwd: "root:x:0:0:other:/:/bin/sh\nmessagebus:x:101:105::/:/usr/sbin/nologin\nmia2:x:1000:1::/:/bin/sh\n",
		Group:  "video:x:45:\nmessagebus:x:106:\n",
	})
	if want := hostPasswd + "messagebus:x:101:105::/:/usr/sbin/nologin\n"; got.Passwd != want {
		t.Errorf("passwd %q, want %q", got.Passwd, want)
	}
	if want := hostGroup + "messagebus:x:106:\n"; got.Group != want {
		t.Errorf("group %q, want %q", got.Group, want)
	}
}

func TestAnImageDoesNotSayWhoIsWho(t *testing.T) {
	image := Accounts{
		Passwd: "root::0:0:root:/root:/bin/bash\ntoor::0:0::/:/bin/sh\nmessagebus:pw:101:101::/:/usr/sbin/nologin\nmia::1000:0::/:/bin/sh\nguest::1234:0::/:/bin/sh\n",
		Group:  "root::0:mia\nsudo:x:27:mia,messagebus\nwheel:x:998:mia\nvideo:x:99:\nmessagebus:x:101:\n",
	}
	host := Accounts{
		Passwd: "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nmia:x:1000:1000:Mia:/home/mia:/bin/zsh\nben:x:1001:1001::/home/ben:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
		Group:  "root:x:0:\nsudo:x:27:ben\nvideo:x:44:mia,daemon,ben\nmia:x:1000:\nben:x:1001:\nkvm:x:110:\n",
	}
	got := image.OnHost(host, Limits{Min: 1000})
	if want := "root:x:0:0:root:/root:/bin/bash\nmessagebus:x:101:101::/:/usr/sbin/nologin\nmia:x:1000:1000:Mia:/home/mia:/bin/zsh\nben:x:1001:1001::/home/ben:/bin/sh\n"; got.Passwd != want {
		t.Errorf("passwd:\n%swant:\n%s", got.Passwd, want)
	}
	if want := "root:x:0:\nsudo:x:27:ben,messagebus\nwheel:x:998:\nmessagebus:x:101:\nvideo:x:44:mia,ben\nmia:x:1000:\nben:x:1001:\n"; got.Group != want {
		t.Errorf("group:\n%swant:\n%s", got.Group, want)
	}
	u := User{Name: "mia", UID: 1000, GID: 1000, Home: "/home/mia", Groups: []uint32{44, 1000}, GroupNames: map[uint32]string{44: "video", 1000: "mia"}}
	if with := got.For(u, "/bin/bash"); !strings.Contains(with.Group, "video:x:44:ben,mia\n") || !strings.Contains(with.Group, "sudo:x:27:ben,messagebus\n") {
		t.Errorf("with the user:\n%s", with.Group)
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add(hostPasswd, hostGroup, "Mia")
	f.Add("a:b:c", "x", "\n:")
	f.Fuzz(func(t *testing.T, passwd, group, comment string) {
		u := User{Name: "mia", UID: 1000, GID: 1000, Comment: comment, Home: "/home/mia", Groups: []uint32{7, 1000}}
		out := Accounts{passwd, group}.OnHost(Accounts{passwd, group}, Limits{Min: 1000}).For(u, "/bin/sh")
		mine := 0
		for line := range strings.Lines(out.Passwd) {
			have, ok := parsePasswd(strings.TrimSuffix(line, "\n"))
			if !ok {
				t.Fatalf("a line that is none came through: %q", line)
			}
			if have.Name == "mia" || have.UID == 1000 {
				mine++
			}
			if have.UID == 0 && have.Name != "root" || strings.Split(line, ":")[1] != "x" {
				t.Fatalf("a line that lets somebody in: %q", line)
			}
		}
		if mine != 1 {
			t.Fatalf("%d lines for the user in %q", mine, out.Passwd)
		}
	})
}
