package boot

import (
	"bytes"
	"strings"
	"testing"
)

func TestLineHasWhatTheMachineWasStartedWith(t *testing.T) {
	got := Line("BOOT_IMAGE=/vmlinuz-6 root=UUID=1 ro  dyndbg=\"file a +p\" systemd.run=\"/bin/x y\" single\ninit=/bin/sh ninefold.image=/old panic=1\n", []string{"ninefold.image=/new"})
	if want := `root=UUID=1 ro dyndbg="file a +p" panic=10 ninefold.image=/new`; got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}

func TestGrubReadsNothingIntoNames(t *testing.T) {
	e := entry{image: `it's"; reboot; "$x`, title: "it's", kernel: "/b/linux", initrd: "/b/initrd", line: `a=$b c="d e" f;g`, at: mount{UUID: "U", Root: "/sub", Target: "/"}}
	got := string(grubBlock(e))
	for _, want := range []string{`menuentry 'it'\''s' --id`, `linux '/sub/b/linux' 'a=$b' 'c=d e' 'f;g'`, `echo 'Starting on its"; reboot; "$x ...'`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

func TestWithoutBlockLeavesTheRest(t *testing.T) {
	ours := string(grubBlock(entry{}))
	for text, want := range map[string]string{"": "", "x\n": "x\n", "x\n" + ours + "y\n": "x\ny\n", "x\n" + blockBegin: "x\n" + blockBegin} {
		if got := withoutBlock([]byte(text)); string(got) != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

func block(lines string) []byte {
	return append([]byte(envMagic+lines), bytes.Repeat([]byte("#"), envSize-len(envMagic)-len(lines))...)
}

func TestEnvironmentBlock(t *testing.T) {
	old := block("# WARNING: do not edit\nsaved_entry=a\\\nb\nnext_entry=\n")
	set, err := SetEnv(old, "ninefold_tries", "3")
	if err != nil || len(set) != envSize {
		t.Fatalf("%v, %d bytes", err, len(set))
	}
	if v, err := Env(set, "ninefold_tries"); err != nil || v != "3" {
		t.Errorf("%q, %v", v, err)
	}
	again, err := SetEnv(set, "ninefold_tries", "")
	if err != nil || !bytes.Equal(again, old) {
		t.Errorf("%v\n%s\nnot\n%s", err, again, old)
	}
	if _, err := SetEnv(block("x="+strings.Repeat("y", 985)+"\n"), "ninefold_tries", "3"); err == nil {
		t.Error("a full block took one more")
	}
	for _, bad := range []string{"x", envMagic, string(block("no end"))} {
		if _, err := Env([]byte(bad), "x"); err == nil {
			t.Errorf("%.40q was read", bad)
		}
	}
}

func FuzzEnvironmentBlock(f *testing.F) {
	f.Add("saved_entry=x\n")
	f.Add("a=\\\nb\n#c\n\\")
	f.Fuzz(func(t *testing.T, lines string) {
		if len(lines) > envSize-len(envMagic) {
			return
		}
		old := block(lines)
		before, err := envLines(old)
		if err != nil {
			return
		}
		set, err := SetEnv(old, "n", "1")
		if err != nil {
			return
		}
		if v, err := Env(set, "n"); err != nil || v != "1" || len(set) != envSize {
			t.Fatalf("%q, %v, %d bytes", v, err, len(set))
		}
		after, err := envLines(set)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range before {
			if !strings.HasPrefix(l, "n=") && !strings.Contains(strings.Join(after, "\x00"), l) {
				t.Fatalf("%q is gone", l)
			}
		}
	})
}
