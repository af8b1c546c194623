package namespaces_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ninefold/internal/diskfile"
	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

// testDisk is a disk whose root belongs to nobody, with a session of somebody's on it.
func testDisk(t *testing.T) (file string, of func(uid uint32) *plan.Plan) {
	t.Helper()
	needs.Root(t)
	needs.Programs(t, "mkfs.ext4")
	dir := t.TempDir()
	file = filepath.Join(dir, "disk")
	if err := diskfile.Make(t.Context(), file, 16<<20, ""); err != nil {
		t.Fatal(err)
	}
	return file, func(uid uint32) *plan.Plan {
		ns := all
		ns.User = plan.UserMapped
		p := hostPlan(t, ns, uid, plan.Disk{Source: file, Target: "/mnt/disk", Size: 16 << 20, UID: uid, GID: uid, Flags: weak}, plan.Privileges{NoNewPrivs: true})
		p.Class = plan.Untrusted
		return p
	}
}

// onHost does something to what is on the disk, which is in use by nobody.
func onHost(t *testing.T, file, script string) string {
	t.Helper()
	at := t.TempDir()
	out, err := exec.Command("unshare", "-m", "sh", "-ec", "mount -o loop "+file+" "+at+"; cd "+at+"; "+script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestADiskIsWhoseSessionItIs(t *testing.T) {
	file, of := testDisk(t)
	before := mountinfo(t)
	out, _ := output(t, of(61201), "sh", "-c", "cd /mnt/disk && echo one >file && mkdir dir && stat -c %u:%g:%a . file dir && cp /bin/cat cat && chmod 4755 cat && chown 61202 file")
	if !strings.HasPrefix(out, "61201:61201:700\n61201:61201:644\n61201:61201:755\n") || !strings.Contains(out, "chown: changing ownership of 'file'") {
		t.Errorf("the first sees\n%s", out)
	}
	out, _ = output(t, of(61202), "sh", "-c", "cd /mnt/disk && cat file && echo two >>file && rmdir dir && stat -c %u:%g . file; ./cat file")
	if out != "one\n61202:61202\n61202:61202\none\ntwo\n" {
		t.Errorf("the second sees\n%s", out)
	}
	if got := onHost(t, file, "stat -c %u:%g . file cat; find . -uid +61000 ! -uid 65534"); got != strings.Repeat("65534:65534\n", 3) {
		t.Errorf("on the disk are\n%s", got)
	}
	if after := mountinfo(t); after != before {
		t.Errorf("the host's mount table changed:\n%s\n%s", before, after)
	}
}

// Whatever lies on the disk, and even if root had put it there, nothing on it makes
// anybody more than the session's user.
func TestADiskHasNoSetuidProgramsAndNoDevices(t *testing.T) {
	file, of := testDisk(t)
	output(t, of(61201), "true") // the disk is that of nobody's from then on
	onHost(t, file, "cp /usr/bin/id root-id; chmod 6755 root-id; cp root-id own-id; chown 65534:65534 own-id; chmod 6755 own-id; mknod -m 666 zero c 1 5; mkdir -m 777 roots; echo x >roots/x; echo guest >as-guest; chown 61201 as-guest")
	out, _ := output(t, of(61201), "sh", "-c", "cd /mnt/disk; ./root-id -u; ./own-id -u; head -c 1 zero | wc -c; stat -c %u roots as-guest; touch roots/y; rm -f roots/x; chmod 777 as-guest; mknod null c 1 3; setfacl -m u:0:r own-id 2>/dev/null; echo >roots/x")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) < 5 || lines[0] != "61201" || lines[1] != "61201" || strings.Contains(out, "\n1\n") {
		t.Errorf("the session sees\n%s", out)
	}
	for _, want := range []string{"head: cannot open 'zero'", "touch: cannot touch 'roots/y'", "chmod: changing permissions of 'as-guest'", "mknod: null:"} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if got := onHost(t, file, "ls -A . roots | grep -v -x lost+found; stat -c %u:%a as-guest"); strings.Contains(got, "null") || strings.Contains(got, "\ny\n") || !strings.HasSuffix(got, "61201:644\n") {
		t.Errorf("on the disk are\n%s", got)
	}
}

func TestAFullDiskHarmsNobody(t *testing.T) {
	file, of := testDisk(t)
	out, _ := output(t, of(61201), "sh", "-c", "cd /mnt/disk; head -c 64M /dev/zero >much; echo rc=$?; rm much; echo little >kept && sync && cat kept")
	if !strings.Contains(out, "No space left on device") || !strings.Contains(out, "rc=1\nlittle\n") {
		t.Errorf("a session that fills its disk sees\n%s", out)
	}
	if st, err := os.Stat(file); err != nil || st.Size() != 16<<20 {
		t.Errorf("the disk is %v, %v", st, err)
	}
}

// One session at a time has the disk, and whoever is killed, the next one has it.
func TestADiskIsOneSessionsAtATime(t *testing.T) {
	file, of := testDisk(t)
	guard := namespaces.Guard{Argv: []string{"sh", "-c", `echo "$@"; grep " /mnt/disk " /proc/self/mountinfo`, "sh", "first"}, Time: time.Minute, Max: 4096}
	var said string
	guard.Passed = func(b []byte, _ namespaces.Status) error { said = string(b); return nil }
	first, err := namespaces.Start(context.Background(), of(61201), namespaces.Command{Guard: &guard})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if len(guard.Disks) != 1 || !regexp.MustCompile(`^7:\d+$`).MatchString(guard.Disks[0]) ||
		!strings.HasPrefix(said, "first disk="+guard.Disks[0]+"\n") || !strings.Contains(said, " "+guard.Disks[0]+" / /mnt/disk rw,nosuid,nodev") {
		t.Errorf("the guard knows of %q and says\n%s", guard.Disks, said)
	}
	if _, err := namespaces.Start(context.Background(), of(61202), namespaces.Command{}); !errors.Is(err, namespaces.ErrDiskInUse) || !strings.Contains(err.Error(), file) {
		t.Errorf("a second session has the disk: %v", err)
	}
	command, err := first.Enter(namespaces.Command{Argv: []string{"sh", "-c", "cd /mnt/disk; echo written >file; sync; while echo more >>file; do :; done"}})
	if err != nil {
		t.Fatal(err)
	}
	defer command.Close()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if out, err := exec.Command("nsenter", "-t", strconv.Itoa(first.PID()), "-m", "tail", "-n", "1", "/mnt/disk/file").Output(); err == nil && len(out) > 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatal("nothing is written")
		}
	}
	if err := syscall.Kill(first.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	out, _ := output(t, of(61202), "sh", "-c", "cd /mnt/disk; head -n 1 file; echo again >file && stat -c %u file")
	if out != "written\n61202\n" {
		t.Errorf("after the first session was killed the next one sees\n%s", out)
	}
	onHost(t, file, "true")
	if out, err := exec.Command("e2fsck", "-f", "-n", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// What is not a file of root's alone is no disk, and says so.
func TestWhatIsNoDisk(t *testing.T) {
	file, of := testDisk(t)
	for _, c := range []struct {
		what string
		make func() error
		want string
	}{
		{"a file that others can read", func() error { return os.Chmod(file, 0o644) }, "root's and nobody else's"},
		{"somebody's file", func() error { return errors.Join(os.Chmod(file, 0o600), os.Chown(file, 1000, 0)) }, "root's and nobody else's"},
		{"a link", func() error { return errors.Join(os.Rename(file, file+"-"), os.Symlink(file+"-", file)) }, "symbolic links"},
		{"no file system", func() error {
			return errors.Join(os.Remove(file), os.WriteFile(file, bytes.Repeat([]byte("none"), 4<<20), 0o600))
		}, "ext4"},
		{"nothing", func() error { return os.Remove(file) }, "no such file"},
	} {
		if err := c.make(); err != nil {
			t.Fatal(err)
		}
		s, err := namespaces.Start(context.Background(), of(61201), namespaces.Command{})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
