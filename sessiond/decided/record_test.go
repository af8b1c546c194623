package decided

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

func decision(t testing.TB) (Question, *Session) {
	t.Helper()
	p, err := plan.Compile(plan.Spec{Profile: "p", User: plan.User{Name: "root", Home: "/root"}, Home: "none",
		Layers: []plan.Layer{{Kind: plan.LayerDir, Source: "/layer"}}})
	if err != nil {
		t.Fatal(err)
	}
	q := Question{Config: "/c", State: "/s", Profile: "p", First: "/first"}
	return q, &Session{Profile: "p", Plan: p, Command: []string{"/bin/sh", "-l"}, Stay: Stay{Everywhere: true, Home: "/root"}, Leases: []string{}, Guest: 61184}
}

func TestRecordReadsBack(t *testing.T) {
	q, s := decision(t)
	var facts Facts
	facts.Content("/etc/passwd")
	question, text, got, found, err := decode(encode(q, s, &facts))
	if err != nil || question != q.text() || !found.Same(&facts) {
		t.Fatalf("%q %v %v", question, found, err)
	}
	if got.Plan, err = plan.Parse("", []byte(text)); err != nil {
		t.Fatal(err)
	}
	got.Leases, got.Watched = s.Leases, s.Watched
	if !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v, want %+v", got, s)
	}
}

func TestDamagedRecordsAreNotRead(t *testing.T) {
	q, s := decision(t)
	whole := encode(q, s, &Facts{})
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1
		if _, _, _, _, err := decode(flipped); err == nil {
			t.Fatalf("bit of byte %d flipped, and it is read", i)
		}
		if _, _, _, _, err := decode(whole[:i]); err == nil {
			t.Fatalf("cut after %d bytes, and it is read", i)
		}
	}
	newer := strings.Replace(string(whole), "1:2,", "1:3,", 1)
	if _, _, _, _, err := decode([]byte(newer)); err == nil {
		t.Error("one of a newer version is read")
	}
}

// TestEachPartOfTheQuestionCounts: two different questions have no record in
// common.
func TestEachPartOfTheQuestionCounts(t *testing.T) {
	q, _ := decision(t)
	v := reflect.ValueOf(&q).Elem()
	for i := range v.NumField() {
		was := q.text()
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("/other")
		case reflect.Bool:
			f.SetBool(true)
		default:
			f.SetInt(7)
		}
		if q.text() == was {
			t.Errorf("%s does not count", v.Type().Field(i).Name)
		}
	}
}

func TestFindTakesRootsRecordsAlone(t *testing.T) {
	needs.Root(t)
	q, s := decision(t)
	// Not below /tmp, where a directory that all can write is on the way.
	state, err := os.MkdirTemp("/var/lib", "ninefold-decided-")
	do(t, err)
	defer os.RemoveAll(state)
	lease := filepath.Join(state, "lease")
	write(t, lease, "")
	s.Leases = []string{lease}
	dir := filepath.Join(state, "records")
	do(t, os.Mkdir(dir, 0o700))
	do(t, os.WriteFile(q.file(dir), encode(q, s, &Facts{}), 0o600))
	found := func() bool { return Find(dir, q) != nil }
	if !found() {
		t.Fatal("a good record is not found")
	}
	for name, c := range map[string]struct{ spoil, mend func() error }{
		"the directory is a user's":      {func() error { return os.Chown(dir, 1000, 0) }, func() error { return os.Chown(dir, 0, 0) }},
		"others can write there":         {func() error { return os.Chmod(dir, 0o777) }, func() error { return os.Chmod(dir, 0o700) }},
		"a directory above is another's": {func() error { return os.Chown(state, 1000, 0) }, func() error { return os.Chown(state, 0, 0) }},
		"the record is a user's":         {func() error { return os.Chown(q.file(dir), 1000, 0) }, func() error { return os.Chown(q.file(dir), 0, 0) }},
		"others can read the record":     {func() error { return os.Chmod(q.file(dir), 0o644) }, func() error { return os.Chmod(q.file(dir), 0o600) }},
		"the image is gone":              {func() error { return os.Rename(lease, lease+"x") }, func() error { return os.Rename(lease+"x", lease) }},
	} {
		do(t, c.spoil())
		if found() {
			t.Errorf("%s, and the record counts", name)
		}
		do(t, c.mend())
		if !found() {
			t.Fatalf("%s no longer, and the record does not count", name)
		}
	}
	if q.Profile = "other"; found() {
		t.Error("the record answers another question")
	}
	q.Profile, q.Config = "p", "relative"
	do(t, os.WriteFile(q.file(dir), encode(q, s, &Facts{}), 0o600))
	if found() {
		t.Error("a relative directory is taken for the same everywhere")
	}
}

func TestFrom(t *testing.T) {
	_, s := decision(t)
	cd := func(p *plan.Plan) (dir string) {
		for _, op := range p.Ops {
			if c, ok := op.(plan.Chdir); ok {
				dir = c.Dir
			}
		}
		return dir
	}
	for _, c := range []struct {
		stay      Stay
		dir, want string
	}{
		{Stay{Everywhere: true}, "/srv/x", "/srv/x"}, {Stay{Everywhere: true}, "", "/root"}, {Stay{Everywhere: true}, "x", "/root"},
		{Stay{Everywhere: true}, "/srv/../etc", "/root"}, {Stay{Home: "/home/mia"}, "/home/mia/a", "/home/mia/a"},
		{Stay{Home: "/home/mia"}, "/home/miat", "/root"}, {Stay{}, "/srv", "/root"},
	} {
		s.Stay = c.stay
		p := s.From(c.dir)
		if got := cd(p); got != c.want {
			t.Errorf("%+v from %q: begins in %q, want %q", c.stay, c.dir, got, c.want)
		}
		if err := plan.Validate(p); err != nil {
			t.Error(err)
		}
	}
	s.Stay = Stay{Everywhere: true}
	s.Plan.Ops = append(s.Plan.Ops, plan.Chdir{Dir: "/own"})
	if got := cd(s.From("/srv")); got != "/own" {
		t.Errorf("begins in %q, and the profile says /own", got)
	}
}

func FuzzDecode(f *testing.F) {
	q, s := decision(f)
	var facts Facts
	facts.Content("/etc/passwd")
	whole := encode(q, s, &facts)
	f.Add(whole)
	f.Add(whole[bytes.Index(whole, []byte(q.text()))-4:])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _, _, _ = decode(b)
		// The checksum would keep the fuzzer out.
		_, _, got, found, err := decodeBody(string(b))
		if err == nil {
			found.Hold()
			got.Watched.Hold()
		}
	})
}
