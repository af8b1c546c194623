package entries

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/sessiond/desktop"
)

func entry(profile string, t desktop.Type, id string) desktop.Entry {
	return desktop.Entry{Profile: profile, Session: desktop.Session{Type: t, ID: id, Name: id, Argv: []string{id}}}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	for _, k := range desktop.Types {
		files, _ := os.ReadDir(filepath.Join(dir, k.Dir()))
		for _, f := range files {
			out = append(out, k.Dir()+"/"+f.Name())
		}
	}
	return out
}

func TestEntriesFollowTheProfiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share")
	none := func(string) bool { return false }
	if err := Sync(dir, nil, none); err != nil || len(list(t, dir)) != 0 {
		t.Errorf("nothing to do: %v %v", err, list(t, dir))
	}
	want := []desktop.Entry{entry("dev", desktop.X11, "xfce"), entry("dev", desktop.Wayland, "sway"), entry("lab", desktop.X11, "xfce")}
	if err := Sync(dir, want, none); err != nil {
		t.Fatal(err)
	}
	all := []string{"xsessions/ninefold-dev+xfce.desktop", "xsessions/ninefold-lab+xfce.desktop", "wayland-sessions/ninefold-dev+sway.desktop"}
	if got := list(t, dir); !slices.Equal(got, all) {
		t.Fatalf("got %v", got)
	}
	if st, err := os.Stat(filepath.Join(dir, all[0])); err != nil || st.Mode() != 0o644 {
		t.Errorf("everybody reads it: %v %v", st, err)
	}
	// Of a profile whose images cannot be looked at now, what is there stays.
	if err := Sync(dir, want[2:], func(p string) bool { return p == "dev" }); err != nil || !slices.Equal(list(t, dir), all) {
		t.Errorf("got %v %v", list(t, dir), err)
	}
	before, _ := os.Stat(filepath.Join(dir, all[1]))
	want[2].Session.Name = "XFCE"
	if err := Sync(dir, want[2:], none); err != nil || !slices.Equal(list(t, dir), all[1:2]) {
		t.Errorf("got %v %v", list(t, dir), err)
	}
	after, _ := os.Stat(filepath.Join(dir, all[1]))
	if text, _ := os.ReadFile(filepath.Join(dir, all[1])); !strings.Contains(string(text), "Name=XFCE (profile lab)") || os.SameFile(before, after) {
		t.Errorf("it is not replaced:\n%s", text)
	}
}

func TestWhatIsNotOursIsLeft(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "victim")
	x := filepath.Join(dir, "xsessions")
	if err := os.Mkdir(x, 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"gnome.desktop": "[Desktop Entry]\n", "ninefold-mine.desktop": "[Desktop Entry]\nExec=x\n",
		"ninefold-dev+xfce.desktop": "[Desktop Entry]\nExec=my own\n"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(x, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"ninefold-dev+link.desktop", ".ninefold-dev+new.desktop.new"} {
		if err := os.Symlink(other, filepath.Join(x, link)); err != nil {
			t.Fatal(err)
		}
	}
	want := []desktop.Entry{entry("dev", desktop.X11, "xfce"), entry("dev", desktop.X11, "link"), entry("dev", desktop.X11, "new")}
	for _, w := range [][]desktop.Entry{want, nil} {
		if err := Sync(dir, w, func(string) bool { return false }); err != nil {
			t.Error(err)
		}
		for name, text := range files {
			if got, _ := os.ReadFile(filepath.Join(x, name)); string(got) != text {
				t.Errorf("%s: %q", name, got)
			}
		}
		if _, err := os.Lstat(other); err == nil {
			t.Error("a link was followed")
		}
	}
	if got := list(t, dir); len(got) != 4 {
		t.Errorf("left are %v", got)
	}
	// A directory that leads elsewhere is not written to.
	away := t.TempDir()
	if err := os.Symlink(away, filepath.Join(dir, "wayland-sessions")); err != nil {
		t.Fatal(err)
	}
	if err := Sync(dir, []desktop.Entry{entry("dev", desktop.Wayland, "sway")}, nil); err == nil {
		t.Error("written through a link out of the directory")
	}
	if got, _ := os.ReadDir(away); len(got) != 0 {
		t.Error("it is written elsewhere")
	}
}
