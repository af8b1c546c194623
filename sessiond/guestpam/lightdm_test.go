package guestpam

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/tests/needs"
)

func TestTheEntryOfLightdm(t *testing.T) {
	needs.Root(t)
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return string(text)
	}
	const automatic = "auth required pam_permit.so\n"
	write(dir+"/lightdm", "@include common-auth\n")
	if err := Enable(root, Lightdm, ""); err != nil || read(lightdmEntry) != "" {
		t.Fatalf("without lightdm there is an entry %q, %v", read(lightdmEntry), err)
	}
	write(dir+"/"+ByEntry, automatic)
	write(lightdmDir+"/lightdm.conf", "")
	for range 2 {
		if err := Enable(root, Lightdm, "visitor"); err != nil {
			t.Fatal(err)
		}
	}
	if has, profile, err := Enabled(root, Lightdm); !has || profile != "visitor" || err != nil {
		t.Errorf("guests come by lightdm: %v, into %q, %v", has, profile, err)
	}
	if stack := read(dir + "/" + ByEntry); !strings.HasPrefix(stack, "auth "+control+" pam_ninefold.so guest service=lightdm-autologin profile=visitor\n") {
		t.Errorf("who takes the entry comes by %q", stack)
	}
	if read(lightdmEntry) != string(entryText) {
		t.Errorf("the entry is %q", read(lightdmEntry))
	}
	for range 2 {
		if err := Disable(root, Lightdm); err != nil {
			t.Fatal(err)
		}
	}
	if stack, entry := read(dir+"/"+ByEntry), read(lightdmEntry); stack != automatic || entry != "" {
		t.Errorf("left are %q and %q", stack, entry)
	}

	write(lightdmEntry, "[Seat:*]\nallow-guest=false\n")
	if err := Enable(root, Lightdm, ""); !errors.Is(err, ErrFile) {
		t.Errorf("somebody's file in the entry's place: %v", err)
	}
	if err := Disable(root, Lightdm); !errors.Is(err, ErrFile) || read(lightdmEntry) == "" || read(dir+"/"+ByEntry) != automatic {
		t.Errorf("somebody's file: %v; left are %q and %q", err, read(dir+"/"+ByEntry), read(lightdmEntry))
	}
}
