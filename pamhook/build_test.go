package pamhook

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ninefold/sessiond/door"
	"ninefold/tests/needs"
)

// The module is loaded by the programs of whatever root it is projected into,
// the oldest of which have glibc 2.17.
func TestTheModuleNeedsNoNewSymbols(t *testing.T) {
	f, err := elf.Open(built(t, "pam_ninefold.so"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	imported, err := f.ImportedSymbols()
	if err != nil || len(imported) == 0 {
		t.Fatal(imported, err)
	}
	for _, s := range imported {
		v, ok := strings.CutPrefix(s.Version, "GLIBC_2.")
		if !ok {
			if !strings.HasPrefix(s.Version, "LIBPAM_") && s.Version != "" {
				t.Errorf("%s has version %s", s.Name, s.Version)
			}
			continue
		}
		if minor, err := strconv.Atoi(strings.Split(v, ".")[0]); err != nil || minor > 17 {
			t.Errorf("%s needs %s", s.Name, s.Version)
		}
		for _, unwanted := range []string{"pthread_create", "sigaction", "signal", "dlopen", "fork", "system", "execve", "malloc"} {
			if s.Name == unwanted {
				t.Errorf("a login process does not expect the module to use %s", s.Name)
			}
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil || !slices.Equal(libraries, []string{"libpam.so.0", "libc.so.6"}) {
		t.Errorf("it needs %v, %v", libraries, err)
	}
	dynamic, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var exported []string
	for _, s := range dynamic {
		if s.Section != elf.SHN_UNDEF && elf.ST_BIND(s.Info) == elf.STB_GLOBAL {
			exported = append(exported, s.Name)
		}
	}
	slices.Sort(exported)
	if !slices.Equal(exported, []string{"pam_sm_acct_mgmt", "pam_sm_authenticate", "pam_sm_close_session", "pam_sm_open_session", "pam_sm_setcred"}) {
		t.Errorf("it exports %v", exported)
	}
}

// compile builds C sources with the sanitizers.
func compile(t *testing.T, out string, args ...string) {
	t.Helper()
	all := append([]string{"-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
		"-fno-omit-frame-pointer", "-o", out}, args...)
	if b, err := exec.Command("gcc", all...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, b)
	}
}

func sources(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil || len(found) == 0 {
			t.Fatal(p, found, err)
		}
		all = append(all, found...)
	}
	return all
}

func TestMutatedReplies(t *testing.T) {
	out := filepath.Join(t.TempDir(), "replies")
	compile(t, out, sources(t, "testdata/replies.c", "client/*.c")...)
	b, err := exec.Command(out).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	t.Logf("%s", b)
}

// each is the module's ways through: what the peer says, and how it begins.
func each(t *testing.T, run func(t *testing.T, name string)) {
	v := newView(t)
	for name, start := range map[string]func(t *testing.T){
		"enter":        func(t *testing.T) { listen(t, v.enter("NINEFOLD_PROFILE=desk", "NINEFOLD_VIEW=v1")) },
		"host":         func(t *testing.T) { listen(t, say(door.Host, "because")) },
		"refuse":       func(t *testing.T) { listen(t, say(door.Refuse, "no")) },
		"nobody":       func(t *testing.T) { os.Remove(door.Path) },
		"not entered":  func(t *testing.T) { listen(t, leads(t, "/etc/passwd")) },
		"wrong answer": func(t *testing.T) { listen(t, leads(t, "/proc/self/ns/mnt", "/proc/self/ns/pid")) },
	} {
		t.Run(name, func(t *testing.T) {
			start(t)
			run(t, name)
		})
	}
}

// sanitized builds the module with AddressSanitizer and UBSan, and returns the
// environment of a program that loads it; an error ends that with 99.
func sanitized(t *testing.T) (module string, environment []string) {
	t.Helper()
	module = filepath.Join(tempDir(t), "pam_ninefold.so")
	compile(t, module, append(sources(t, "module/*.c", "client/*.c"), "-shared", "-fPIC", "-lpam")...)
	asan, err := exec.Command("gcc", "-print-file-name=libasan.so").Output()
	if err != nil {
		t.Fatal(err)
	}
	return module, []string{"LD_PRELOAD=" + strings.TrimSpace(string(asan)), "ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:exitcode=99"}
}

// TestSanitized runs the sanitized module in pamtester.
func TestSanitized(t *testing.T) {
	needs.Root(t)
	module, environment := sanitized(t)
	// pam_exec shows the program's descriptors, from a child of its own.
	script := filepath.Join(tempDir(t), "descriptors")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nls -l /proc/$PPID/fd\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, name string) {
		service(t, "nf-asan", module, "debug")
		lines, _ := os.ReadFile("/etc/pam.d/nf-asan")
		stack(t, "nf-asan", string(lines), "session optional pam_exec.so stdout "+script)
		cmd := exec.Command("pamtester", "-E", "NINEFOLD_PROFILE=dev", "nf-asan", person, "open_session", "close_session")
		cmd.Env = environment
		r := finish(t, cmd)
		all := r.out + r.errors
		lacks(t, "the output", all, "Sanitizer")
		lacks(t, "the output", all, "runtime error")
		if (name == "refuse") != (r.code != 0) || r.code == 99 {
			t.Errorf("exit %d\n%s", r.code, all)
		}
		if name != "refuse" {
			contains(t, "pam_exec", all, " 2 -> ")
			lacks(t, "the program's descriptors", all, "socket:")
			lacks(t, "the program's descriptors", all, "mnt:[")
		}
	})
}

// TestValgrind looks for memory and descriptors that are left over.
func TestValgrind(t *testing.T) {
	needs.Root(t)
	module := built(t, "pam_ninefold.so")
	each(t, func(t *testing.T, name string) {
		service(t, "nf-valgrind", module, "debug")
		log := filepath.Join(tempDir(t), "log")
		cmd := exec.Command("valgrind", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
			"--errors-for-leak-kinds=definite,indirect,possible", "--track-fds=yes", "--child-silent-after-fork=yes", "--log-file="+log,
			"pamtester", "nf-valgrind", person, "open_session", "close_session")
		r := finish(t, cmd)
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if (name == "refuse") != (r.code != 0) || r.code == 99 {
			t.Errorf("exit %d\n%s%s\n%s", r.code, r.out, r.errors, b)
		}
		// What is open at the end is what was open at the start.
		lines := strings.Split(string(b), "\n")
		for i, line := range lines {
			if strings.Contains(line, "Open ") && strings.Contains(line, " descriptor") || strings.Contains(line, "Open AF") {
				if i+1 == len(lines) || !strings.Contains(lines[i+1], "<inherited from parent>") {
					t.Errorf("a descriptor is left open:\n%s", b)
				}
			}
		}
		contains(t, "valgrind's log", string(b), "FILE DESCRIPTORS:")
	})
}
