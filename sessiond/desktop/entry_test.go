package desktop

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const gnome = `[Desktop Entry]
Name=GNOME on Xorg
Name[de]=GNOME unter Xorg
Comment=This session logs you into GNOME
Exec=env GNOME_SHELL_SESSION_MODE=classic /usr/bin/gnome-session --session gnome-classic %U
TryExec=/usr/bin/gnome-session
Type=Application
DesktopNames=GNOME-Classic;GNOME;
X-GDM-SessionRegisters=true

[Desktop Action x]
Exec=other
`

func TestAnEntryOfAnImageBecomesOneOfAProfile(t *testing.T) {
	s, err := Parse(X11, "gnome-classic", []byte(gnome))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"env", "GNOME_SHELL_SESSION_MODE=classic", "/usr/bin/gnome-session", "--session", "gnome-classic"}
	if s.Name != "GNOME on Xorg" || !slices.Equal(s.Argv, want) || !slices.Equal(s.Desktops, []string{"GNOME-Classic", "GNOME"}) || !s.Registers {
		t.Errorf("got %+v", s)
	}
	e := Entry{"dev", s}
	if e.File() != "ninefold-dev+gnome-classic.desktop" || ProfileOf(ChoiceOf(e.Key())) != "dev" || ProfileOf("dev") != "dev" || ChoiceOf("gnome") != "" {
		t.Errorf("names: %s %s", e.File(), ChoiceOf(e.Key()))
	}
	text := e.Text()
	for _, line := range []string{"Name=GNOME on Xorg (profile dev)\n", "DesktopNames=GNOME-Classic;GNOME;\n", "X-GDM-SessionRegisters=true\n",
		"Exec=/usr/lib/ninefold/ninefold-session x11 dev+gnome-classic env GNOME_SHELL_SESSION_MODE=classic /usr/bin/gnome-session --session gnome-classic\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("lacks %q:\n%s", line, text)
		}
	}
	if !Ours(e.File(), []byte(text)) || Ours("gnome.desktop", []byte(text)) || Ours(e.File(), []byte(gnome)) {
		t.Error("what is ours is not told from what is not")
	}
	if again, err := Parse(X11, "again", []byte(text)); err != nil || !slices.Equal(again.Argv[3:], want) {
		t.Errorf("what is written cannot be read: %+v %v", again, err)
	}
}

func TestWhatIsNoEntry(t *testing.T) {
	for name, text := range map[string]string{
		"hidden":    "[Desktop Entry]\nName=x\nExec=x\nHidden=true\n",
		"link":      "[Desktop Entry]\nType=Link\nName=x\nExec=x\n",
		"nothing":   "[Desktop Entry]\nName=x\n",
		"codes":     "[Desktop Entry]\nExec=%U\n",
		"group":     "Name=x\nExec=x\n",
		"quote":     "[Desktop Entry]\nExec=sh -c \"x\n",
		"script":    "[Desktop Entry]\nExec=sh -c \"rm x; y\"\n",
		"expansion": "[Desktop Entry]\nExec=x $HOME\n",
		"percent":   "[Desktop Entry]\nExec=x 100%%\n",
		"long":      "[Desktop Entry]\nExec=x\n" + strings.Repeat("#\n", MaxSize),
		"../up":     "[Desktop Entry]\nExec=x\n",
		".dot":      "[Desktop Entry]\nExec=x\n",
		"":          "[Desktop Entry]\nExec=x\n",
	} {
		if s, err := Parse(Wayland, name, []byte(text)); !errors.Is(err, ErrEntry) {
			t.Errorf("%q: got %+v %v", name, s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("gnome", gnome)
	f.Add("x", "[Desktop Entry]\nExec=\"a b\"\\\\\nName=\\n\x7f\n")
	f.Fuzz(func(t *testing.T, id, text string) {
		s, err := Parse(X11, id, []byte(text))
		if err != nil {
			return
		}
		e := Entry{"dev", s}
		out := e.Text()
		again, err := Parse(X11, "again", []byte(out))
		if err != nil || !slices.Equal(again.Argv[3:], s.Argv) || again.Name != strings.TrimSpace(s.Name+" (profile dev)") && len(s.Name) < 200 {
			t.Errorf("%+v became %+v (%v):\n%s", s, again, err, out)
		}
		if !Ours(e.File(), []byte(out)) || strings.ContainsAny(e.File(), "/\n") {
			t.Errorf("not ours: %q\n%s", e.File(), out)
		}
	})
}
