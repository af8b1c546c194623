package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/sign"
)

// maxKeyFile bounds the files of keys and envelopes that are named on the
// command line, in bytes.
const maxKeyFile = sign.MaxEnvelope

func (a *app) key() *cobra.Command {
	c := &cobra.Command{Use: "key", Short: "Make keys that sign images, and say which ones are trusted"}
	c.AddCommand(a.keyNew(), a.keyList(), a.keyShow(), a.keyTrust(), a.keyRevoke(), a.keySucceed())
	return c
}

func (a *app) keyNew() *cobra.Command {
	return &cobra.Command{
		Use:   "new NAME",
		Short: "Make a key that signs images, and print its public half",
		Long: `new makes an Ed25519 key. NAME is kept in the state directory (keys/NAME); with a
slash it is a path. The file is PKCS #8 in PEM, for root alone. What is printed
is the public half, for those who are to trust it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := a.manager().KeyFile(args[0])
			if err != nil {
				return err
			}
			k, err := sign.Generate()
			if err != nil {
				return err
			}
			text, err := k.PEM()
			if err != nil {
				return err
			}
			if !strings.Contains(args[0], "/") {
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					return fmt.Errorf("make key %s: %w", args[0], err)
				}
			}
			// A key that is there is never written over: nobody could sign with it again.
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
			if err != nil {
				return fmt.Errorf("make key %s: %w", args[0], err)
			}
			_, err = f.Write(text)
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return errors.Join(fmt.Errorf("make key %s: %w", args[0], err), os.Remove(file))
			}
			_, err = a.Out.Write(k.Public().PEM())
			return err
		},
	}
}

type listedKey struct {
	Name     string     `json:"name"`
	ID       sign.KeyID `json:"id"`
	Private  bool       `json:"private"` // this machine can sign with it
	Trusted  bool       `json:"trusted"`
	Scopes   []string   `json:"scopes,omitempty"`
	Kinds    []string   `json:"kinds,omitempty"`
	NotAfter time.Time  `json:"not_after,omitzero"`
	Revoked  time.Time  `json:"revoked,omitzero"`
	public   *sign.Public
}

// keys lists the trusted keys and this machine's own; problems are files that
// cannot be used.
func (a *app) keys() (all map[string]*listedKey, problems []error, err error) {
	p, err := a.manager().Trust()
	if err != nil {
		return nil, nil, err
	}
	all = map[string]*listedKey{}
	for name, k := range p.Keys {
		all[name] = &listedKey{Name: name, ID: k.Public.ID(), Trusted: true, Scopes: k.Scopes, Kinds: k.Kinds, NotAfter: k.NotAfter, Revoked: k.Revoked, public: k.Public}
	}
	entries, err := os.ReadDir(a.manager().KeysDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return nil, nil, err
	}
	problems = p.Problems
	for _, e := range entries {
		k, err := a.manager().PrivateKey(e.Name())
		if err != nil {
			problems = append(problems, err)
			continue
		}
		have := all[e.Name()]
		if have == nil || have.ID != k.Public().ID() {
			name := e.Name()
			if have != nil {
				name += " (private)" // another key of this name is trusted
			}
			have = &listedKey{Name: name, ID: k.Public().ID(), public: k.Public()}
			all[name] = have
		}
		have.Private = true
	}
	return all, problems, nil
}

func (a *app) keyList() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List the keys that are trusted, and those that this machine signs with",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			keys, problems, err := a.keys()
			if err != nil {
				return err
			}
			list := []*listedKey{}
			var rows [][]string
			for _, name := range slices.Sorted(maps.Keys(keys)) {
				k := keys[name]
				list = append(list, k)
				state := "not trusted here"
				switch {
				case !k.Revoked.IsZero():
					state = "revoked since " + k.Revoked.Format(time.DateOnly)
				case k.Trusted && !k.NotAfter.IsZero():
					state = "trusted until " + k.NotAfter.Format(time.DateOnly)
				case k.Trusted:
					state = "trusted"
				}
				own := "-"
				if k.Private {
					own = "yes"
				}
				rows = append(rows, []string{k.Name, k.ID.Short(), own, state, dash(strings.Join(k.Scopes, ","))})
			}
			if err := a.list(list, []string{"NAME", "ID", "PRIVATE", "STATE", "SCOPES"}, rows); err != nil {
				return err
			}
			for _, p := range problems {
				fmt.Fprintf(a.Err, "sessionctl: %v\n", p)
			}
			return nil
		},
	})
}

// findKey finds a key by its name, or its id in full.
func (a *app) findKey(name string) (*listedKey, error) {
	keys, _, err := a.keys()
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.Name == name || k.ID.String() == name {
			return k, nil
		}
	}
	return nil, &exit.Error{Code: exit.NotFound, Err: fmt.Errorf("key %s: there is none", name), Hint: "sessionctl key list shows those that there are"}
}

func (a *app) keyShow() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:               "show NAME",
		Short:             "Print a key: its id, what it may sign, and its public half",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKey,
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := a.findKey(args[0])
			if err != nil {
				return err
			}
			if a.json {
				return show.JSON(a.Out, k)
			}
			fmt.Fprintf(a.Out, "# id %s\n", k.ID)
			if k.Trusted {
				fmt.Fprintf(a.Out, "# may sign %s of %s\n", strings.Join(k.Kinds, ", "), strings.Join(k.Scopes, ", "))
			}
			if !k.Revoked.IsZero() {
				fmt.Fprintf(a.Out, "# revoked since %s\n", k.Revoked.Format(time.DateOnly))
			}
			_, err = a.Out.Write(k.public.PEM())
			return err
		},
	})
}

func (a *app) completeKey(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	keys, _, err := a.keys()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(keys)), cobra.ShellCompDirectiveNoFileComp
}
