package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

const (
	children = 50  // that are composed, and whose disk is measured
	searched = 100 // images that are looked through
)

// families measures what many images on one parent take on disk, and how long
// it takes to find something in them.
func (b *bench) families(ctx context.Context) error {
	state := filepath.Join(b.dir, "family")
	if err := unix.Mkdir(state, 0o755); err != nil {
		return err
	}
	s, best, err := openStore(filepath.Join(state, "store"))
	if err != nil {
		return err
	}
	defer s.Close()
	parent, err := fillStore(ctx, s, "parent", largeImage)
	if err != nil {
		return err
	}
	if err := s.Tag("parent", parent); err != nil {
		return err
	}
	all := []image.ID{parent}
	for i := range searched - 1 {
		name := fmt.Sprintf("child-%03d", i)
		id, err := fillOver(ctx, s, parent, name, perPackage)
		if err == nil {
			err = s.Tag(name, id)
		}
		if err == nil && i < children {
			err = best.Compose(ctx, s, id, driver.Full)
		}
		if err != nil {
			return err
		}
		all = append(all, id)
	}
	b.table.section("images of one family (driver " + best.Name() + ")")
	if err := b.disk(s, best, all[1:children+1], fmt.Sprintf("%d images, each of one package on %d entries : the largest of them, on disk", children, largeImage)); err != nil {
		return err
	}
	find := []string{filepath.Join(b.bin, "sessionctl"), "--state", state, "image", "find"}
	results, failed := interleave(ctx, 15, []contender{
		process("--package", append(find, "--package", "parent-0001<2")...),
		process("--file", append(find, "--file", "/usr/share/bench/0001/entry-with-a-name-001")...),
	})
	for name, err := range failed {
		return fmt.Errorf("image find %s: %w", name, err)
	}
	for _, name := range []string{"--package", "--file"} {
		d := results[name].median
		b.table.add(row{what: fmt.Sprintf("image find %s over %d images", name, searched), value: fmt.Sprintf("%.0f ms", ms(d)),
			target: "<= 200 ms", met: d <= 200*time.Millisecond})
	}
	return nil
}

// disk compares what the store takes with what the largest image would take
// alone.
func (b *bench) disk(s *store.Store, drv driver.Driver, ids []image.ID, what string) error {
	var largest int64
	for _, id := range ids {
		n, err := alone(s, drv, id)
		if err != nil {
			return err
		}
		largest = max(largest, n)
	}
	var whole int64
	err := filepath.WalkDir(s.Dir(), func(name string, _ fs.DirEntry, err error) error {
		n, e := blocks(name)
		whole += n
		if err == nil {
			err = e
		}
		return err
	})
	if err != nil {
		return err
	}
	q := float64(whole) / float64(largest)
	b.table.add(row{what: what, value: fmt.Sprintf("%.0f : %.0f MB", float64(whole)/1e6, float64(largest)/1e6),
		ratio: fmt.Sprintf("%.2f", q), target: "<= 1.3", met: q <= 1.3})
	return nil
}

// alone is what the files of one image take: objects, records of packages and
// images, and what is composed.
func alone(s *store.Store, drv driver.Driver, id image.ID) (int64, error) {
	files := map[string]bool{}
	chain, err := s.Chain(id)
	if err != nil {
		return 0, err
	}
	for _, m := range chain {
		files[filepath.Join(s.Dir(), "images", m.ID().String())] = true
		for _, d := range m.Digests() {
			files[filepath.Join(s.Dir(), "packages", d.String())] = true
			p, err := s.Package(d)
			if err != nil {
				return 0, err
			}
			for i := range p.Entries {
				if p.Entries[i].Kind == pkg.File {
					files[filepath.Join(s.ObjectsDir(), store.ObjectPath(p.Entries[i].Digest))] = true
				}
			}
		}
	}
	layers, err := drv.Layers(s, id, driver.Full)
	if err != nil {
		return 0, err
	}
	for _, l := range layers {
		files[l.Source] = true
	}
	var n int64
	for name := range files {
		size, err := blocks(name)
		if err != nil {
			return 0, err
		}
		n += size
	}
	return n, nil
}

// blocks is what a file takes on disk, in bytes.
func blocks(name string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return st.Blocks * 512, nil
}

// few are the packages that the images on d2 add, two each.
const few = `htop tree ncdu tmux screen vim-tiny nano mc git make strace ltrace lsof rsync zip unzip xz-utils zstd lz4 bc dc gawk m4 bison flex sqlite3
socat netcat-openbsd tcpdump iperf3 mtr-tiny traceroute whois curl wget lynx w3m irssi newsboat cmus mpg123 sox units figlet toilet cowsay sl hexedit xxd bvi dos2unix
recode aspell ispell ripgrep fd-find fzf silversearcher-ag ack bat entr inotify-tools pv parallel moreutils expect dialog whiptail zsh ksh mksh dash toybox tig cvs
patchutils diffstat colordiff wdiff tidy xmlstarlet procinfo iotop iftop nethogs sysstat dstat multitail ccze pwgen makepasswd apg rlwrap jq jo`

// familyOfD2 measures the disk of real images on d2, which is built.
func (b *bench) familyOfD2(ctx context.Context, config, state string) error {
	names := strings.Fields(few)
	ctl := []string{filepath.Join(b.bin, "sessionctl"), "--config", config, "--state", state, "image"}
	var build []string
	for i := range children {
		name := fmt.Sprintf("child-%02d", i)
		text := fmt.Sprintf("version = 1\nname = %q\nfrom = \"d2\"\npackages = [%q, %q]\n", name, names[2*i%len(names)], names[(2*i+1)%len(names)])
		if err := os.WriteFile(filepath.Join(config, "recipes", name+".toml"), []byte(text), 0o644); err != nil {
			return err
		}
		build = append(build, name)
	}
	took, err := timed(ctx, append(append(ctl, "build"), build...)...)
	if err != nil {
		return err
	}
	if _, err := timed(ctx, append(ctl, "gc")...); err != nil {
		return err
	}
	s, best, err := openStore(filepath.Join(state, "store"))
	if err != nil {
		return err
	}
	defer s.Close()
	var ids []image.ID
	for _, name := range build {
		id, err := s.Resolve(name)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	b.table.add(row{what: fmt.Sprintf("ninefold, %d images on it of two packages each, all built at once", children), value: seconds(took)})
	return b.disk(s, best, ids, fmt.Sprintf("%d images on it of two packages each : the largest of them, on disk", children))
}
