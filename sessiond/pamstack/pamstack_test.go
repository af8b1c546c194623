package pamstack

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestRead(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/pam.d/sshd": "# auth required pam_no.so\n@include common\nauth  required /lib/security/pam_a.so x \\\n y # z\n-account sufficient pam_b.so\n" +
			"auth [success=1 \\\n default=ignore] pam_c.so\nauth substack inner\nauth include loop\nauth [broken pam_d.so\nauth required\n",
		"etc/pam.d/common":     "auth optional pam_common.so\nsession optional pam_s.so\n",
		"usr/lib/pam.d/inner":  "auth requisite pam_inner.so\n",
		"etc/pam.d/loop":       "auth include loop\n",
		"usr/lib/pam.d/common": "auth optional pam_hidden.so\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := []Line{{"optional", "pam_common.so", []string{}}, {"required", "pam_a.so", []string{"x", "y"}}, {"[success=1 default=ignore]", "pam_c.so", []string{}}, {"requisite", "pam_inner.so", []string{}}}
	if got := Read(root, "sshd", "auth"); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := Read(root, "sshd", "account"); len(got) != 1 || !got[0].Is("pam_b.so", "") || got[0].Is("pam_b.so", "x") {
		t.Errorf("%+v", got)
	}
	if Read(root, "../../etc/pam.d/sshd", "auth") != nil || Has(root, "su") || !Has(root, "sshd") {
		t.Error("a service that there is not")
	}
}
