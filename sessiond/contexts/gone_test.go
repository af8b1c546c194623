package contexts

import (
	"errors"
	"slices"
	"testing"

	"ninefold/roots/contexts"
)

func TestCandidates(t *testing.T) {
	has := candidates(`tool:
  Installed: (none)
  Candidate: 1.0
  Version table:
     1.0 500
        500 file:/srv/archive test/main amd64 Packages
gone:
  Installed: (none)
  Candidate: (none)
  Version table:
libx:i386:
  Installed: 1
  Candidate: 2
`)
	if len(has) != 2 || !has["tool"] || !has["libx:i386"] {
		t.Errorf("%v", has)
	}
}

func TestWithout(t *testing.T) {
	q, err := without(contexts.Requests{Install: []string{"a:amd64", "b", "c-"}}, []string{"a", "b"})
	if err != nil || !slices.Equal(q.Install, []string{"c-"}) {
		t.Errorf("%v, %v", q.Install, err)
	}
	if _, err := without(q, []string{"a"}); !errors.Is(err, ErrReplay) {
		t.Errorf("what was not asked for: %v", err)
	}
	if err := error(&GoneError{[]string{"x"}}); !errors.Is(err, ErrReplay) {
		t.Error("it is another error")
	}
}
