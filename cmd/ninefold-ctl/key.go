package main

import (
	"bytes"
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
	"ninefold/internal/regular"
	"ninefold/internal/replace"
	"ninefold/roots/pkg"
	"ninefold/roots/sign"
	"ninefold/roots/trust"
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

func (a *app) keyTrust() *cobra.Command {
	var scopes, kinds []string
	var from, until, successor string
	c := &cobra.Command{
		Use:   "trust NAME [FILE]",
		Short: "Trust a key for the images that it may sign",
		Long: `trust writes trust.d/NAME.toml in the directory of configuration. FILE holds the
public key in PEM; without it the key NAME that this machine signs with is
trusted. With --successor the key comes from a statement that a trusted key
signed (sessionctl key succeed), and may sign what that one may.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			k := &trust.Key{Name: args[0], Scopes: scopes, Kinds: kinds}
			var err error
			for text, into := range map[string]*time.Time{from: &k.NotBefore, until: &k.NotAfter} {
				if text != "" {
					if *into, err = trust.ParseDate(text); err != nil {
						return exit.Usagef("", "key trust: %v", err)
					}
				}
			}
			switch {
			case successor != "":
				err = a.succeeds(k, successor)
			case len(args) == 2:
				var b []byte
				if b, err = regular.Read(args[1], maxKeyFile); err == nil {
					k.Public, err = sign.ParsePublic(b)
				}
			default:
				var own *sign.Private
				if own, err = a.manager().PrivateKey(args[0]); err == nil {
					k.Public = own.Public()
				}
			}
			if err != nil {
				return fmt.Errorf("trust key %s: %w", args[0], err)
			}
			file := filepath.Join(a.manager().Config()[0], trust.KeysDir, args[0]+".toml")
			if _, err := trust.ParseKey(file, args[0], []byte(k.Text())); err != nil {
				return err
			}
			if _, err := os.Lstat(file); err == nil {
				return fmt.Errorf("trust key %s: %w: %s; remove it first, or choose another name", args[0], fs.ErrExist, file)
			}
			return writeConfig(file, []byte(k.Text()))
		},
	}
	c.Flags().StringSliceVar(&scopes, "scope", nil, "a `PATTERN` of references that the key may sign, like 'steve/*'; may be repeated")
	c.Flags().StringSliceVar(&kinds, "kind", nil, "what the key may sign: packages, images, tags (default all)")
	c.Flags().StringVar(&from, "not-before", "", "the `DATE` from which it counts")
	c.Flags().StringVar(&until, "not-after", "", "the `DATE` until which it counts")
	c.Flags().StringVar(&successor, "successor", "", "the `FILE` in which a trusted key names this one as its successor")
	return c
}

// succeeds takes the key, and what it may sign, from a statement by a trusted key.
func (a *app) succeeds(k *trust.Key, file string) error {
	b, err := regular.Read(file, maxKeyFile)
	if err != nil {
		return err
	}
	p, err := a.manager().Trust()
	if err != nil {
		return err
	}
	old, public, err := p.Successor(bytes.TrimSpace(b), time.Now())
	if err != nil {
		return err
	}
	k.Public = public
	if len(k.Scopes) == 0 {
		k.Scopes = old.Scopes
	}
	if len(k.Kinds) == 0 {
		k.Kinds = old.Kinds
	}
	return nil
}

func (a *app) keyRevoke() *cobra.Command {
	var since, reason string
	c := &cobra.Command{
		Use:               "revoke NAME",
		Short:             "Have a key count no more, whatever it signed",
		Long:              "revoke adds the key, a name of key list or an id, to revoked.toml in the directory\nof configuration. Images that no other trusted key signed cannot be used then.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKey,
		RunE: func(_ *cobra.Command, args []string) error {
			r := trust.Revocation{Reason: reason}
			if id, err := pkg.ParseDigest(args[0]); err == nil {
				r.Key = id
			} else {
				k, err := a.findKey(args[0])
				if err != nil {
					return err
				}
				r.Key = k.ID
			}
			r.Since.Time = time.Now().UTC().Truncate(time.Second)
			if since != "" {
				var err error
				if r.Since.Time, err = trust.ParseDate(since); err != nil {
					return exit.Usagef("", "key revoke: %v", err)
				}
			}
			file := filepath.Join(a.manager().Config()[0], trust.RevokedFile)
			text, err := regular.Read(file, maxRevoked)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("revoke key %s: %w", args[0], err)
			}
			if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
				text = append(text, '\n')
			}
			text = append(text, r.Text()...)
			if _, err := trust.ParseRevoked(file, text); err != nil {
				return err
			}
			return writeConfig(file, text)
		},
	}
	c.Flags().StringVar(&since, "since", "", "the `DATE` from which it counts no more (default now)")
	c.Flags().StringVar(&reason, "reason", "", "why, for those who are told")
	return c
}

const maxRevoked = 1 << 20

func (a *app) keySucceed() *cobra.Command {
	return &cobra.Command{
		Use:               "succeed OLD NEW",
		Short:             "Sign with one key that another takes its place, and print that",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeKey,
		RunE: func(_ *cobra.Command, args []string) error {
			old, err := a.manager().PrivateKey(args[0])
			if err != nil {
				return err
			}
			next, err := a.manager().PrivateKey(args[1])
			if err != nil {
				return err
			}
			b, err := sign.Seal(&sign.Statement{Kind: sign.Successor, Name: filepath.Base(args[1]), Subject: next.Public().ID(), Key: next.Public()}, old)
			if err == nil {
				_, err = fmt.Fprintf(a.Out, "%s\n", b)
			}
			return err
		},
	}
}

func (a *app) completeKey(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	keys, _, err := a.keys()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(keys)), cobra.ShellCompDirectiveNoFileComp
}

// writeConfig puts a file of the configuration in place, readable for all: what
// is trusted is no secret.
func writeConfig(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return replace.File(file, text, 0o644)
}
