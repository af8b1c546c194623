package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"ninefold/cmd/internal/exit"
	"ninefold/roots/boot"
	"ninefold/roots/driver"
	"ninefold/roots/export"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
	"ninefold/roots/trust"
	"ninefold/sessiond/manager"
)

// starting is sessionctl boot IMAGE.
type starting struct {
	once, stay   bool
	kernel, form string
}

func bootMachine(ctx context.Context, args []string) error {
	var b starting
	return inStore("boot", args, func(f *pflag.FlagSet) {
		f.BoolVar(&b.once, "once", false, "for the next boot alone")
		f.BoolVar(&b.stay, "stay", false, "at every boot")
		f.StringVar(&b.kernel, "kernel", "", "the version of an installed kernel")
		f.StringVar(&b.form, "to", export.Erofs, "erofs or squashfs")
	}, func(_ *request, m *manager.Manager, s *store.Store, args []string) error {
		if len(args) != 1 || b.form != export.Erofs && b.form != export.Squashfs {
			return exit.Usagef("usage: sessionctl boot IMAGE [--to erofs|squashfs]", "boot: it takes one image, and erofs or squashfs")
		}
		return b.start(ctx, m, s, args[0])
	})
}

// start checks the image, and has the machine start on it.
func (b *starting) start(ctx context.Context, m *manager.Manager, s *store.Store, name string) error {
	id, err := s.Resolve(name)
	if err != nil {
		return err
	}
	lease, err := s.Lease(id)
	if err != nil {
		return err
	}
	defer lease.Close()
	machine := &boot.Machine{State: filepath.Join(m.State(), boot.Dir)}
	kernels, err := machine.Kernels(b.kernel)
	if err != nil {
		return err
	}
	tree, err := driver.Tree(ctx, s, id)
	if err != nil {
		return err
	}
	version, err := bootable(ctx, m, s, name, id, tree, kernels)
	if err != nil {
		return err
	}
	var size int64
	if b.form == export.Erofs {
		size = content(tree)
	}
	err = machine.Boot(ctx, boot.Request{Image: name, ID: id.String(), Kernel: version, Type: b.form, Stay: b.stay, Size: size,
		Write: func(ctx context.Context, file string) error { return export.Export(ctx, s, id, "", b.form, file) }})
	if err != nil {
		return fmt.Errorf("boot image %s: %w", name, err)
	}
	when := "the next boot is"
	if b.stay {
		when = "from the next boot on the machine is"
	}
	fmt.Fprintf(os.Stderr, "%s on image %s, with Linux %s\n", when, name, version)
	return nil
}

// bootable returns the kernel to start the image with, if it is one that a
// machine can start on and root trusts.
func bootable(ctx context.Context, m *manager.Manager, s *store.Store, name string, id image.ID, tree *image.Tree, kernels []string) (string, error) {
	policy, err := m.Trust()
	if err != nil {
		return "", err
	}
	v, err := policy.Check(ctx, s, name, id, time.Now())
	if err != nil {
		return "", err
	}
	if !v.Trusted {
		return "", fmt.Errorf("image %s: %w: a machine starts on nothing that no trusted key signed", name, trust.ErrRefused)
	}
	chain, err := s.Chain(id)
	if err != nil {
		return "", err
	}
	if chain[0].Host != "" {
		return "", fmt.Errorf("image %s: %w: it adds to this machine, and is no root of its own", name, boot.ErrImage)
	}
	if err := boot.HasInit(name, tree); err != nil {
		return "", err
	}
	return boot.Choose(name, tree, kernels)
}

// content is how many bytes the files of a tree hold, what is the same counted once.
func content(tree *image.Tree) (total int64) {
	seen := map[pkg.Digest]bool{}
	for _, e := range tree.Entries {
		if e.Kind == pkg.File && !seen[e.Digest] {
			seen[e.Digest] = true
			total += e.Size
		}
	}
	return total
}
