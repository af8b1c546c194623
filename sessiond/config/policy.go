package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/origin"
	"ninefold/sessiond/policy"
)

// The files of the host policy in the first directory of configuration.
const (
	PolicyFile = "host.policy"
	PolicyDir  = "host.policy.d"
)

// ErrPolicyOwner says that somebody who is not root can change the host policy.
var ErrPolicyOwner = errors.New("the host policy is not root's alone")

// LoadPolicy reads the host policy in dir: the files of host.policy.d whose
// names end in .policy, in the order of their names, and then host.policy, so
// that a file of the directory can say something before the first rule of the
// main file. Without any there are no rules.
//
// What somebody else than root (or the user who calls, who deceives nobody but
// themselves) can change is refused with ErrPolicyOwner. The error has
// everything that is wrong with every file.
func LoadPolicy(dir string) (*policy.Set, error) {
	var errs []error
	names, err := PolicyFiles(dir)
	if err != nil {
		errs = append(errs, err)
	}
	var rules []policy.Rule
	for _, name := range names {
		more, err := ReadPolicy(name)
		if err != nil {
			errs = append(errs, err)
		}
		rules = append(rules, more...)
	}
	if len(rules) > policy.MaxRules {
		errs = append(errs, fmt.Errorf("%w: %s and %s together have more than %d rules", policy.ErrInvalid, PolicyDir, PolicyFile, policy.MaxRules))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return policy.NewSet(rules), nil
}

// PolicyFiles lists the files of the host policy in dir in the order in which
// they count.
func PolicyFiles(dir string) ([]string, error) {
	var names []string
	// The entries come sorted by name.
	entries, err := os.ReadDir(filepath.Join(dir, PolicyDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the host policy: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".policy") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(dir, PolicyDir, e.Name()))
		}
	}
	main := filepath.Join(dir, PolicyFile)
	switch _, err := os.Lstat(main); {
	case err == nil:
		names = append(names, main)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the host policy: %w", err)
	}
	return names, nil
}

// ReadPolicy reads one file of the host policy, if nobody else can change it.
func ReadPolicy(name string) ([]policy.Rule, error) {
	// Once it is found to be root's alone nobody else can exchange it.
	who, err := origin.Of(name)
	if err != nil {
		return nil, fmt.Errorf("read the host policy: %w", err)
	}
	if !slices.Contains([]plan.Origin{0, plan.Origin(os.Geteuid())}, who) {
		return nil, fmt.Errorf("read the host policy: %s: %w: uid %d can change it, or a directory on the way to it", name, ErrPolicyOwner, who)
	}
	return ReadPolicyDraft(name)
}

// ReadPolicyDraft reads one file, whoever can change it. It is not to be relied
// on.
func ReadPolicyDraft(name string) ([]policy.Rule, error) {
	data, err := read(name)
	if err != nil {
		return nil, fmt.Errorf("read the host policy: %w", err)
	}
	return policy.Parse(name, data)
}

// reloadPolicy puts the host policy into force, or keeps the one before.
func (l *Live) reloadPolicy(before, next *State) {
	set, err := LoadPolicy(l.dirs[0])
	if err == nil {
		next.Policy = set
		return
	}
	next.Policy = before.Policy
	if next.Policy == nil {
		err = fmt.Errorf("%w\nuntil this is mended nothing may be run on the host", err)
	}
	next.PolicyErr = err
	l.tell(before.PolicyErr, err)
}
