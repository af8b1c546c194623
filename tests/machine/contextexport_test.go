package machine

import (
	"strings"
	"testing"
)

// contextExport writes what a context adds to the machine as files, and leaves nothing
// besides.
func (b *Booted) contextExport(t *testing.T) {
	b.Must("hc", "new", "out")
	b.hc("out", "apt-get install -y -qq tool >/dev/null; echo ours >/etc/tool.conf; touch /home/mine; rm /etc/issue.net")
	b.loops()
	const left = "ls /etc/ninefold/recipes 2>/dev/null; sessionctl image list --json | sha256sum; ls -A /var/lib/ninefold/store/tmp"
	before := b.Must("sh", "-c", "sessionctl image list >/dev/null; "+left)
	r := b.Run("hc", "export", "out", "--to", "tar", "/run/out.tar")
	if !r.OK() || !strings.Contains(r.Stderr, "1 path removed") || !strings.Contains(r.Stderr, "left out: /home: ") || r.Stdout != "" {
		t.Errorf("as a tar: %s", r)
	}
	b.want(b.Must("sh", "-c", "cd /run && tar -xf out.tar usr/bin/tool etc/tool.conf && stat -c %a usr/bin/tool && cat etc/tool.conf && usr/bin/tool; tar -tf out.tar | grep -c 'home/mine\\|dpkg/status\\|shadow'; rm -r usr etc out.tar"),
		"4755\nours\ntool 1.0\n0")
	b.want(b.Must("sh", "-c", "cd /run && hc export out --to oci out.oci 2>/dev/null && tar -tf out.oci | grep -x 'oci-layout\\|index.json' | sort; rm out.oci"), "index.json\noci-layout")
	b.want(b.Must("sh", "-c", "hc export out --to erofs /run/out.erofs 2>/dev/null && od -An -tx4 -j1024 -N4 /run/out.erofs; rm /run/out.erofs"), "e0f5e1e2")
	if r := b.Run("hc", "export", "out", "--to", "squashfs", "/run/out.squashfs"); r.OK() != b.Run("which", "mksquashfs").OK() || !r.OK() && !strings.Contains(r.Stderr, "mksquashfs") {
		t.Errorf("as a squashfs: %s", r)
	}
	for code, args := range map[int][]string{2: {"out", "--to", "zip", "/run/out.zip"}, 3: {"none", "--to", "tar", "/run/out.tar"}} {
		if r := b.Run(append([]string{"hc", "export"}, args...)...); r.Code != code {
			t.Errorf("%q: %s", args, r)
		}
	}
	b.want(b.Must("sh", "-c", left), before)
	b.want(b.hc("out", "tool"), "tool 1.0")
	b.Must("hc", "delete", "out")
}
