package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/registry/testregistry"
	"ninefold/roots/store"
)

// anybody lets an image that nobody signed be used, as container engines do.
const anybody = `version = 1
[[rule]]
images = ["**"]
require = "none"
`

// registries measures a push and a pull of the set d2 over the loopback
// interface, beside podman's and skopeo's of the same tree: from an image that is
// there to one that can be mounted in a store that was empty. What the registry
// takes of the processor is in it.
func (b *bench) registries(ctx context.Context) error {
	config, state := filepath.Join(b.dir, "registry-config"), filepath.Join(b.dir, "registry-state")
	if err := writeRecipe(config, desktopRequest); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(config, "trust.toml"), []byte(anybody), 0o644); err != nil {
		return err
	}
	if _, err := b.imageBuild(ctx, config, state); err != nil {
		return err
	}
	tree := filepath.Join(b.dir, "d2.tar")
	ctl := []string{filepath.Join(b.bin, "sessionctl"), "--config", config, "--state", state, "image"}
	if _, err := timed(ctx, append(ctl, "export", "d2", "--to", "tar", tree)...); err != nil {
		return err
	}
	from := containers(filepath.Join(b.dir, "from"))
	if _, err := timed(ctx, append(from.podman(), "import", "--quiet", tree, "localhost/d2")...); err != nil {
		return err
	}
	if err := os.Remove(tree); err != nil {
		return err
	}
	defer from.remove()
	results, failed := interleaved(ctx, 0, 3, []contender{
		{"ninefold", func(ctx context.Context) (time.Duration, error) { return b.pushPull(ctx, config, state) }},
		{"podman", func(ctx context.Context) (time.Duration, error) {
			return b.travel(ctx, func(host string, to containers) (push, pull []string) {
				return append(from.podman(), "push", "--quiet", "--tls-verify=false", "localhost/d2", "docker://"+host+"/d2:1"),
					append(to.podman(), "pull", "--quiet", "--tls-verify=false", host+"/d2:1")
			})
		}},
		{"skopeo", func(ctx context.Context) (time.Duration, error) {
			return b.travel(ctx, func(host string, to containers) (push, pull []string) {
				return []string{"skopeo", "copy", "--quiet", "--dest-compress-format=zstd", "--dest-tls-verify=false", from.skopeo("localhost/d2"), "docker://" + host + "/d2:1"},
					[]string{"skopeo", "copy", "--quiet", "--src-tls-verify=false", "docker://" + host + "/d2:1", to.skopeo("localhost/d2")}
			})
		}},
	})
	if err := failed["ninefold"]; err != nil {
		return err
	}
	b.table.section("push and pull of d2 over loopback (docker-registry; from a built image to a mountable one in an empty store)")
	ours := results["ninefold"].median
	for _, name := range []string{"podman", "skopeo"} {
		if err := failed[name]; err != nil {
			b.table.note("push and pull by %s: %v", name, err)
			continue
		}
		d := results[name].median
		q := ratio(ours, d)
		b.table.add(row{what: "ninefold : " + name, value: fmt.Sprintf("%.2f : %.2f s", ours.Seconds(), d.Seconds()),
			ratio: fmt.Sprintf("%.2f", q), target: "<= 0.7", met: q <= 0.7})
	}
	b.table.note("podman compresses with gzip, as it does by default, skopeo with zstd; the tree is one layer for both.")
	return nil
}

// pushPull pushes without any note of an earlier push, and pulls into a new
// store, up to the composed image.
func (b *bench) pushPull(ctx context.Context, config, state string) (time.Duration, error) {
	if err := os.RemoveAll(filepath.Join(state, "store", string(store.Packed))); err != nil {
		return 0, err
	}
	to := filepath.Join(b.dir, "registry-pulled")
	defer os.RemoveAll(to)
	var pulled time.Duration
	d, err := b.withRegistry(ctx, func(host string) (time.Duration, error) {
		ctl := []string{filepath.Join(b.bin, "sessionctl"), "--config", config, "--state"}
		ref := host + "/d2:1"
		push, err := timed(ctx, append(ctl, state, "image", "push", "d2", ref)...)
		if err != nil {
			return 0, err
		}
		pull, err := timed(ctx, append(ctl, to, "image", "pull", ref)...)
		if err != nil {
			return 0, err
		}
		pulled, err = compose(ctx, filepath.Join(to, "store"), ref)
		return push + pull, err
	})
	return d + pulled, err
}

func compose(ctx context.Context, dir, ref string) (time.Duration, error) {
	s, best, err := openStore(dir)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	var id image.ID
	if id, err = s.Resolve(ref); err != nil {
		return 0, err
	}
	start := time.Now()
	err = best.Compose(ctx, s, id, driver.Full)
	return time.Since(start), err
}

// containers is a store of podman's and skopeo's. They take no name of more than
// 50 characters for what is beside it.
type containers string

func (c containers) podman() []string {
	return []string{"podman", "--root", string(c), "--runroot", c.run()}
}

func (c containers) run() string { return string(c) + "-run" }

func (c containers) skopeo(image string) string {
	return fmt.Sprintf("containers-storage:[overlay@%s+%s]%s", c, c.run(), image)
}

// remove deletes the store. Its overlays lie in a mount of it on itself.
func (c containers) remove() error {
	unix.Unmount(filepath.Join(string(c), "overlay"), unix.MNT_DETACH)
	return errors.Join(os.RemoveAll(string(c)), os.RemoveAll(c.run()))
}

// travel measures one push and one pull of others, into an empty store.
func (b *bench) travel(ctx context.Context, how func(host string, to containers) (push, pull []string)) (time.Duration, error) {
	to := containers(filepath.Join(b.dir, "to"))
	return b.withRegistry(ctx, func(host string) (time.Duration, error) {
		push, pull := how(host, to)
		d, err := timed(ctx, push...)
		if err != nil {
			return 0, err
		}
		more, err := timed(ctx, pull...)
		return d + more, errors.Join(err, to.remove())
	})
}

// withRegistry gives use the host of a registry that holds nothing.
func (b *bench) withRegistry(ctx context.Context, use func(host string) (time.Duration, error)) (time.Duration, error) {
	dir, err := os.MkdirTemp(b.dir, "registry-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	s, err := testregistry.Start(ctx, dir, testregistry.Options{})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return use(s.Host)
}
