package machine

import (
	"slices"
	"strings"
	"testing"
)

// planted are the marks of what lies in wait in the image "planted", by what runs
// or loads it. Its PAM stacks lie there too and leave none, since the host's lie
// over them.
var planted = []string{"home", "motd", "nss", "preload", "profile", "sshrc"}

// fire runs what was planted as the user inside: the preloaded libraries and the
// name service by id, and su, whose stack would leave marks if it were the image's.
const fire = "run-parts /etc/update-motd.d; sh /etc/ssh/sshrc; sh -lc true; echo bob | su bob -c true; id no-such-user; LD_PRELOAD=/home/bob/planted.so id"

// TestNothingPlantedRunsAsRoot logs in by every way to a root that its user has a
// hand in, full of what login programs run and load. The same root, were it
// trusted, would have them run it.
func TestNothingPlantedRunsAsRoot(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := imagedMachine(t, suite)
			b.Must("install", "-d", "-m", "777", "/home/bob/marks")
			b.check(b.CopyIn(b.ctx, homeLibrary(t), "/home/bob/planted.so", 0o755))
			b.Write("/home/bob/.pam_environment", "LD_PRELOAD DEFAULT=/home/bob/planted.so\n")
			b.Write(profileDir+"planted.toml", "version = 1\nbase = \"planted\"\n")
			b.Must("chown", "bob", profileDir+"planted.toml", "/home/bob/.pam_environment")
			b.configure("[login]\nown = true\n[login.users]\nbob = \"planted\"\n")
			for _, w := range Ways {
				t.Run(w.Name, func(t *testing.T) {
					b := b.For(t)
					if marks := b.marks(t); len(marks) > 0 {
						t.Fatalf("marks before the login: %v", marks)
					}
					r := b.Login(w, "bob", "cat /proc/self/uid_map; echo profile=$NINEFOLD_PROFILE; echo planted=$PLANTED")
					if !strings.Contains(r.Stdout, "profile=planted") || !strings.Contains(r.Stdout, "planted=\n") {
						t.Errorf("not in the view, or with what its /etc says of the environment: %s", r)
					}
					b.gone("bob")
					for _, m := range b.marks(t) {
						if strings.HasSuffix(m, ".0") {
							t.Errorf("planted code ran as root: %s", m)
						}
					}
					// It was there to be run.
					b.Login(w, "bob", fire)
					b.gone("bob")
					var fired []string
					for _, m := range b.marks(t) {
						name, uid, _ := strings.Cut(m, ".")
						if uid != "1001" {
							t.Errorf("planted code ran as uid %s: %s", uid, name)
						}
						fired = append(fired, name)
					}
					if !slices.Equal(fired, planted) {
						t.Errorf("as the user ran %v, and not %v", fired, planted)
					}
					b.Must("sh", "-c", "rm -f /home/bob/marks/*")
				})
			}
			t.Run("trusted", func(t *testing.T) {
				b := b.For(t)
				b.Must("chown", "root", profileDir+"planted.toml")
				b.configure("[login]\n[login.users]\nbob = \"planted\"\n")
				b.Login(Ways[1], "bob", "true")
				m := b.marks(t)
				if slices.Contains(m, "pam.0") || slices.Contains(m, "exec.0") {
					t.Errorf("a PAM stack of the image's ran: %v", m)
				}
				if !slices.Contains(m, "preload.0") || !slices.Contains(m, "motd.0") {
					t.Errorf("a trusted root was to have them run as root; the marks are %v", m)
				}
				b.gone("bob")
			})
		})
	}
}

// marks lists the marks: a name and a uid each.
func (b *Booted) marks(t *testing.T) []string {
	t.Helper()
	return strings.Fields(b.Must("ls", "/home/bob/marks"))
}
