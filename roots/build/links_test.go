package build

import (
	"testing"
)

// Names that a recipe's command gives to one file are names of one file in the
// image: of a new file, of a package's file, and below a renamed directory. A
// file of an earlier image that a command gives a new name loses the others it
// has, as in any overlay.
func TestHardLinksOfCommands(t *testing.T) {
	w := newWorld(t)
	w.recipe("links", `from = "base"
[finish]
run = ["echo z > /etc/z; ln /etc/z /etc/zz; ln /etc/z /etc/a-z", "ln /usr/share/tool/doomed /usr/share/tool/0", "mv /usr/share/tool/sub /usr/share/tool/moved; ln /usr/share/tool/moved/b /usr/share/tool/moved/a"]
`)
	w.recipe("more", "from = \"links\"\n[finish]\nrun = [\"rm /etc/a-z\", \"ln /usr/share/tool/0 /usr/share/tool/00\"]\n")
	locks := t.TempDir()
	first, second := w.config(t.TempDir(), locks), w.config(t.TempDir(), locks)
	a, b := w.build(first, "more", Options{}), w.build(second, "more", Options{})
	if a.ID != b.ID {
		t.Errorf("two builds give %s and %s", a.ID.Short(), b.ID.Short())
	}
	const same = `same() { [ "$1" -ef "$2" ] || echo "$1 and $2 are two files"; }
		same /etc/z /etc/zz; same /usr/share/tool/moved/a /usr/share/tool/moved/b;`
	if got := inside(t, first, a.Images[1].ID, same+`same /etc/z /etc/a-z; same /usr/share/tool/doomed /usr/share/tool/0; read z < /etc/a-z; read d < /usr/share/tool/0; read b < /usr/share/tool/moved/a; echo "$z$d$b"`); got != "zdb\n" {
		t.Errorf("links: %s", got)
	}
	if got := inside(t, first, a.ID, same+`same /usr/share/tool/0 /usr/share/tool/00; [ ! -e /etc/a-z ]; read z < /etc/zz; echo "$z"`); got != "z\n" {
		t.Errorf("more: %s", got)
	}
}
