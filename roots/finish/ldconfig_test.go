package finish

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/tests/needs"
)

func TestCompareLibraries(t *testing.T) {
	order := []string{"liba.so.9", "liba.so.10", "libb.so", "libb.so.1"}
	for i := 1; i < len(order); i++ {
		a, b := order[i-1], order[i]
		if compareLibraries(a, b) >= 0 || compareLibraries(b, a) <= 0 || compareLibraries(a, a) != 0 {
			t.Errorf("%s does not stand before %s", a, b)
		}
	}
	if compareLibraries("lib07", "lib7") != 0 {
		t.Error("leading zeros count")
	}
}

// glibc's own ldconfig reads the cache back: it decides what the format is.
func TestLdconfigReadsTheCache(t *testing.T) {
	ldconfig, err := exec.LookPath("ldconfig")
	if err != nil {
		ldconfig = "/sbin/ldconfig"
	}
	libs, _ := filepath.Glob("/usr/lib/*-linux-gnu/libz.so.1.*")
	libc, _ := filepath.Glob("/usr/lib/*-linux-gnu/libc.so.6")
	if _, err := os.Stat(ldconfig); err != nil || len(libs) == 0 || len(libc) == 0 {
		needs.Lacks(t, "ldconfig, libc and zlib")
	}
	content := func(p string) string {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	triplet := strings.TrimPrefix(filepath.Dir(libc[0]), "/usr/lib/")
	dir := "usr/lib/" + triplet
	zlib := filepath.Base(libs[0])
	v := newTree(t, "lib -> usr/lib", "etc/ld.so.conf = include /etc/ld.so.conf.d/*.conf\n", "etc/ld.so.conf.d/x.conf = # c\n/lib/"+triplet+"\n/opt/lib # c\n",
		dir+"/"+zlib+" = "+content(libs[0]), dir+"/libc.so.6 = "+content(libc[0]), dir+"/libz.so -> "+zlib, dir+"/libscript.so = INPUT(-lz)",
		dir+"/glibc-hwcaps/x86-64-v3/libz.so.1 = "+content(libs[0]), "opt/lib/libz.so.1 = "+content(libs[0]))
	run(t, v, "ldconfig", Params{})
	if e, _ := v.Lookup(dir + "/libz.so.1"); e.Target != zlib {
		t.Errorf("the soname's link is %+v", e)
	}
	cache := filepath.Join(t.TempDir(), "cache")
	if err := os.WriteFile(cache, []byte(read(t, v, "etc/ld.so.cache")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(ldconfig, "-p", "-C", cache).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for line := range bytes.Lines(out) {
		if name, rest, ok := strings.Cut(strings.TrimSpace(string(line)), " ("); ok {
			_, at, _ := strings.Cut(rest, "=> ")
			hwcap := ""
			if strings.Contains(rest, "x86-64-v3") {
				hwcap = "+"
			}
			got = append(got, name+hwcap+" "+at)
		}
	}
	lib := "/lib/" + triplet
	want := []string{
		"libz.so.1+ " + lib + "/glibc-hwcaps/x86-64-v3/libz.so.1", "libz.so.1 " + lib + "/libz.so.1", "libz.so.1 /opt/lib/libz.so.1",
		"libz.so " + lib + "/libz.so", "libc.so.6 " + lib + "/libc.so.6",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("ldconfig sees\n%s\nwant\n%s\nin\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), out)
	}
}
