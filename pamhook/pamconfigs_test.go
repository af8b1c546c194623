package pamhook

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

// pamSystemd is libpam-systemd's own pam-configs file in what counts here.
const pamSystemd = `Name: Register user sessions in the systemd control group hierarchy
Default: yes
Priority: 0
Session-Interactive-Only: yes
Session-Type: Additional
Session:
	optional	pam_systemd.so
`

// homeMaker is another profile with pam_systemd's priority: enter comes after
// everything that a session is made of.
const homeMaker = `Name: Create home directory on login
Default: yes
Priority: 0
Session-Type: Additional
Session:
	optional			pam_mkhomedir.so
`

// TestPamAuthUpdate has Debian's tool write the stacks, and take them back.
func TestPamAuthUpdate(t *testing.T) {
	needs.Root(t)
	dir := tempDir(t)
	over := func(at string) string {
		mine := filepath.Join(dir, strings.ReplaceAll(at, "/", "-"))
		if err := os.Mkdir(mine, 0o755); err != nil {
			t.Fatal(err)
		}
		return mine
	}
	mount := func(mine, at string) {
		if err := unix.Mount(mine, at, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(at, err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	}
	configs, stacks := over("/usr/share/pam-configs"), over("/etc/pam.d")
	add := func(name, text string) {
		if err := os.WriteFile(filepath.Join(configs, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	unixConfig, err := os.ReadFile("/usr/share/pam-configs/unix")
	if err != nil {
		t.Fatal(err)
	}
	add("unix", string(unixConfig))
	add("systemd", pamSystemd)
	add("zz-home", homeMaker)
	debconf := over("/var/cache/debconf")
	if out, err := exec.Command("cp", "-a", "/var/cache/debconf/.", debconf).CombinedOutput(); err != nil {
		t.Fatal(string(out), err)
	}
	mount(debconf, "/var/cache/debconf")
	mount(configs, "/usr/share/pam-configs")
	mount(stacks, "/etc/pam.d")
	mount(over("/var/lib/pam"), "/var/lib/pam")

	update := func(args ...string) {
		t.Helper()
		cmd := exec.Command("pam-auth-update", append(args, "--package")...)
		cmd.Env = []string{"DEBIAN_FRONTEND=noninteractive"}
		if r := finish(t, cmd); r.code != 0 {
			t.Fatalf("pam-auth-update: %+v", r)
		}
	}
	// order is what the session stack runs, as far as it matters here.
	order := func(name string) []string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(stacks, name))
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, m := range regexp.MustCompile(`(?m)^session.*?\b(pam_(?:unix|systemd|mkhomedir|ninefold)\.so.*?)\s*$`).FindAllStringSubmatch(string(b), -1) {
			found = append(found, m[1])
		}
		return found
	}

	update("--force")
	before := tree(t, stacks)
	for _, name := range []string{"ninefold", "ninefold-prepare", "ninefold-choose", "ninefold-ask", "ninefold-alias"} {
		b, err := os.ReadFile("../packaging/pam-configs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		add(name, string(b))
	}
	update()
	want := []string{"pam_unix.so", "pam_ninefold.so prepare", "pam_mkhomedir.so", "pam_systemd.so", "pam_ninefold.so"}
	if got := order("common-session"); !slices.Equal(got, want) {
		t.Errorf("common-session: %q, want %q", got, want)
	}
	// cron and sudo have no session of logind's and stay where they are.
	if got := order("common-session-noninteractive"); !slices.Equal(got, []string{"pam_unix.so", "pam_mkhomedir.so"}) {
		t.Errorf("common-session-noninteractive: %q", got)
	}
	// What touches authentication is the administrator's to switch on.
	auth := func() string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(stacks, "common-auth"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(regexp.MustCompile(`(?m)^auth.*$`).FindAllString(string(b), -1), "\n")
	}
	plain := auth()
	lacks(t, "common-auth", plain, "ninefold")
	update("--enable", "ninefold-choose", "ninefold-ask")
	// pam_unix is no longer first: it would take a password that was typed before.
	want = []string{"auth\t[default=ignore]\tpam_ninefold.so", strings.Replace(plain, "pam_unix.so nullok", "pam_unix.so nullok try_first_pass", 1),
		// Behind pam_permit comes who has given the password.
		"auth\t[default=ignore]\tpam_ninefold.so ask"}
	if got := auth(); strings.ReplaceAll(got, " \n", "\n") != strings.Join(want, "\n") {
		t.Errorf("common-auth:\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	update("--remove", "ninefold", "ninefold-prepare", "ninefold-choose", "ninefold-ask", "ninefold-alias")
	if after := tree(t, stacks); after != before {
		t.Errorf("after the removal:\n%s\nbefore the installation:\n%s", after, before)
	}
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(f + ":\n" + string(b))
	}
	return all.String()
}

// A login goes on when the package went without its PAM lines being taken out.
func TestAMissingModuleLetsLoginsIn(t *testing.T) {
	needs.Root(t)
	service(t, "su", "/nonexistent/pam_ninefold.so", "on-failure=deny")
	if r := su(t, person); r.code != 0 || !strings.HasPrefix(r.out, here(t)+"\n") {
		t.Errorf("%+v", r)
	}
}
