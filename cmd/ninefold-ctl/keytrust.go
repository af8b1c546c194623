package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/internal/regular"
	"ninefold/internal/replace"
	"ninefold/roots/pkg"
	"ninefold/roots/sign"
	"ninefold/roots/trust"
)

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

// writeConfig puts a file of the configuration in place, readable for all: what
// is trusted is no secret.
func writeConfig(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return replace.File(file, text, 0o644)
}
