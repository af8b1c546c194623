package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/foreign"
	"ninefold/roots/image"
	"ninefold/roots/oci"
	"ninefold/roots/registry"
	"ninefold/roots/store"
	"ninefold/roots/trust"
	"ninefold/sessiond/manager"
)

// importer is a parsed image import.
type importer struct {
	*request
	s      *store.Store
	policy *trust.Policy
	o      foreign.Options
	agent  string
}

// importImage is image import.
func importImage(ctx context.Context, args []string) error {
	i := &importer{}
	key, media := "", ""
	return inStore("import", args, func(f *pflag.FlagSet) {
		f.StringVar(&i.o.Reference, "name", "", "what to call the image")
		f.IntVar(&i.o.Layer, "layer", 0, "the one layer that is wanted")
		f.StringVar(&key, "sign", "", "sign what is imported with this private key")
		f.StringVar(&media, "media", "", "bring all images of a directory that image export --media wrote")
		f.StringVar(&i.agent, "user-agent", "", "what to tell the registry that we are")
	}, func(r *request, m *manager.Manager, s *store.Store, args []string) error {
		if len(args) != 1 && media == "" || media != "" && (len(args) > 0 || i.o.Reference != "" || i.o.Layer != 0) {
			return exit.Usagef("usage: sessionctl image import FILE|DIRECTORY|docker://REFERENCE, or image import --media DIR", "image import: %d arguments", len(args))
		}
		i.request, i.s = r, s
		var err error
		if i.policy, err = m.Trust(); err != nil {
			return err
		}
		if key != "" {
			if r.key, err = m.PrivateKey(key); err != nil {
				return err
			}
		}
		i.o.Accept, i.o.InitDir = i.accept, m.InitDir
		if media != "" {
			return i.media(ctx, media)
		}
		id, reference, err := i.run(ctx, args[0])
		if err != nil {
			return err
		}
		return r.named(reference, id)
	})
}

// accept signs an image, if that is asked for, and then asks the machine's trust files.
func (i *importer) accept(ctx context.Context, reference string, id image.ID) error {
	if i.key != nil {
		if _, err := trust.Sign(ctx, i.s, i.key, id, trust.Signing{Reference: reference, Created: time.Now()}); err != nil {
			return fmt.Errorf("sign %s: %w", reference, err)
		}
	}
	_, err := i.policy.Accept(ctx, i.s, reference, id, time.Now())
	return err
}

func (i *importer) run(ctx context.Context, what string) (image.ID, string, error) {
	if reference, ok := strings.CutPrefix(what, "docker://"); ok {
		c, err := registry.Remote(ctx, reference, registry.Options{UserAgent: i.agent})
		if err != nil {
			return image.ID{}, "", err
		}
		return i.container(ctx, c, what)
	}
	files, err := oci.Open(what)
	if errors.Is(err, oci.ErrNotImage) {
		if err := i.allowed(i.o.Reference); err != nil {
			return image.ID{}, "", err
		}
		return i.told(foreign.Root(ctx, i.s, what, i.o))
	}
	if err != nil {
		return image.ID{}, "", err
	}
	defer files.Close()
	if i.o.Layer == 0 {
		id, reference, err := registry.Import(ctx, i.s, files, what, i.o.Reference, registry.Options{Accept: i.accept})
		if !errors.Is(err, registry.ErrNotOurs) && !errors.Is(err, os.ErrNotExist) {
			return id, reference, err
		}
	}
	c, err := registry.File(ctx, files)
	if err != nil {
		return image.ID{}, "", fmt.Errorf("%s: %w", what, err)
	}
	return i.container(ctx, c, what)
}

func (i *importer) container(ctx context.Context, c *registry.Container, from string) (image.ID, string, error) {
	if i.o.Reference == "" {
		i.o.Reference = c.Reference
	}
	if err := i.allowed(i.o.Reference); err != nil {
		return image.ID{}, "", err
	}
	return i.told(foreign.Container(ctx, i.s, c, from, i.o))
}

// allowed refuses early what could not be used in the end: what is not
// Ninefold's carries no signature.
func (i *importer) allowed(reference string) error {
	if i.key != nil || !image.ValidReference(reference) || i.policy.Unsigned(reference) {
		return nil
	}
	return &exit.Error{Code: exit.Integrity, Err: fmt.Errorf("image %s: %w", reference, trust.ErrUnsigned),
		Hint: "image import --sign signs it with a key of this machine, and [[rule]] in trust.toml lets it be used unsigned: see ninefold-images(5)"}
}

// told says on the way what was left out.
func (i *importer) told(r *foreign.Result, err error) (image.ID, string, error) {
	if err != nil {
		return image.ID{}, "", err
	}
	if r.Notes.Devices > 0 {
		fmt.Fprintf(os.Stderr, "left out: %d devices below /dev; a session has its own\n", r.Notes.Devices)
	}
	if n := len(r.Notes.Removed); n > 0 {
		fmt.Fprintf(os.Stderr, "left out: %d removals of what lies below, such as of /%s\n", n, show.Plain(r.Notes.Removed[0]))
	}
	if n := len(r.Notes.Collisions); n > 0 {
		fmt.Fprintf(os.Stderr, "note: names that differ in the case of letters alone, such as /%s\n", show.Plain(r.Notes.Collisions[0]))
	}
	return r.ID, r.Reference, nil
}
