package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"ninefold/roots/export"
	"ninefold/roots/store"
)

// exports measures writing an image as one file system, beside the stock
// programs on a tree that is unpacked already. All end with the file on disk.
func (b *bench) exports(ctx context.Context) error {
	s, err := store.Open(filepath.Join(b.dir, "store"))
	if err != nil {
		return err
	}
	defer s.Close()
	id, err := fillStore(ctx, s, "large", largeImage)
	if err != nil {
		return err
	}
	tree := filepath.Join(b.dir, "unpacked")
	if err := export.Export(ctx, s, id, "", export.Dir, tree); err != nil {
		return err
	}
	b.table.section("exports")
	out := filepath.Join(b.dir, "exported")
	defer os.Remove(out)
	ours := func(form string) contender {
		return contender{form, func(ctx context.Context) (time.Duration, error) {
			start := time.Now()
			err := export.Export(ctx, s, id, "", form, out)
			return time.Since(start), err
		}}
	}
	stock := func(argv ...string) contender {
		return contender{argv[0], func(ctx context.Context) (time.Duration, error) {
			if err := os.Remove(out); err != nil && !os.IsNotExist(err) {
				return 0, err
			}
			start := time.Now()
			if said, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
				return 0, fmt.Errorf("%s: %w: %s", argv[0], err, said)
			}
			f, err := os.Open(out)
			if err != nil {
				return 0, err
			}
			defer f.Close()
			err = f.Sync()
			return time.Since(start), err
		}}
	}
	results, failed := interleave(ctx, 3, []contender{
		ours(export.Erofs), stock("mkfs.erofs", "--quiet", "-T0", out, tree),
		ours(export.Squashfs), stock("mksquashfs", tree, out, "-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-Xcompression-level", "3"),
	})
	for form, program := range map[string]string{export.Erofs: "mkfs.erofs", export.Squashfs: "mksquashfs"} {
		for _, name := range []string{form, program} {
			if err := failed[name]; err != nil {
				b.table.note("export to %s: %v", form, err)
			}
		}
		if failed[form] != nil || failed[program] != nil {
			continue
		}
		o, p := results[form].median, results[program].median
		q := ratio(o, p)
		b.table.add(row{what: fmt.Sprintf("export %d entries to %s : %s alone", largeImage, form, program),
			value: fmt.Sprintf("%.2f : %.2f s", o.Seconds(), p.Seconds()), ratio: fmt.Sprintf("%.2f", q), target: "<= 1.1", met: q <= 1.1})
	}
	return nil
}
