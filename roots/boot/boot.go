package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
	"ninefold/internal/replace"
)

var (
	// ErrNothing says that the machine starts on no image.
	ErrNothing = errors.New("the machine does not start on an image")
	// ErrBusy says that another process has the machine start on an image, or takes it back.
	ErrBusy = errors.New("another sessionctl boot is at work")
)

// Dir is what Machine.State is called within the state directory.
const Dir = "boot"

// filesDir is what kernel and initramfs lie in, in the directory of the boot loader.
const filesDir = "ninefold"

// maxTries is how often an image that is to stay is tried.
const maxTries = 3

// unsupportedError says that this machine cannot do it, and what would help.
type unsupportedError struct{ text, hint string }

func unsupported(hint, format string, args ...any) error {
	return &unsupportedError{fmt.Sprintf(format, args...), hint}
}

func (e *unsupportedError) Error() string { return e.text }
func (e *unsupportedError) Hint() string  { return e.hint }

// Is makes it errors.ErrUnsupported.
func (e *unsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// Machine starts on images. The zero value is this machine, but for State.
type Machine struct {
	// State is a directory of root's, beside the store, for the image and the record of
	// what was made.
	State string
	// Root is where the machine's own directories lie; tests have one of their own.
	Root string
	run  runner
	// step is called after each step that a machine can lose its power after.
	step func(name string)
}

func (m *Machine) at(name string) string { return filepath.Join("/", m.Root, name) }

func (m *Machine) programs() runner {
	if m.run != nil {
		return m.run
	}
	return run
}

func (m *Machine) done(step string) {
	if m.step != nil {
		m.step(step)
	}
}

// loader is a boot loader.
type loader interface {
	name() string
	// check is an error when it cannot do it; at is where its directory is mounted from.
	check(at mount) error
	// entry writes what changes nothing yet.
	entry(e entry) error
	// arm has the next starts, tries of them, take the entry.
	arm(e entry, tries int) error
	// disarm takes arm and entry back, also if they were not done or half done.
	disarm() error
	// left says how many starts are left, or that all are.
	left() (int, bool, error)
}

// entry is what a loader starts.
type entry struct {
	image, title, kernel, initrd, line string
	at                                 mount
	stays                              bool
}

// Request is what to start on.
type Request struct {
	// Image names it, ID is the image's own.
	Image, ID string
	// Kernel is the version of a kernel of this machine.
	Kernel string
	// Type is the file system in the file that Write makes.
	Type  string
	Write func(ctx context.Context, file string) error
	// Size is the least that the file will have, in bytes; 0 where nobody knows.
	Size int64
	// Stay has every start be one on the image, from the first good one on; without it
	// the next one is.
	Stay bool
}

// Record is what was made, for status and the way back.
type Record struct {
	Image  string    `json:"image"`
	ID     string    `json:"id"`
	Kernel string    `json:"kernel"`
	Loader string    `json:"loader"`
	Stay   bool      `json:"stay"`
	Made   time.Time `json:"made"`
	// File is the image, Dir has kernel and initramfs.
	File string `json:"file"`
	Dir  string `json:"dir"`
}

var recordKind = record.Kind{Magic: "NFBOOT\r\n", Version: 1, Max: 1 << 16}

func (m *Machine) record() string { return filepath.Join(m.State, "record") }

// Kernels lists the kernels that the machine can start, the running one first,
// then the newest; or the one version that is asked for.
func (m *Machine) Kernels(only string) ([]string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("which kernel runs: %w", err)
	}
	running := unix.ByteSliceToString(u.Release[:])
	files, err := filepath.Glob(m.at("boot/vmlinuz-*"))
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, f := range files {
		version := strings.TrimPrefix(filepath.Base(f), "vmlinuz-")
		if _, err := os.Stat(m.at("lib/modules/" + version)); err == nil && (only == "" || version == only) {
			versions = append(versions, version)
		}
	}
	sortKernels(versions, running)
	if len(versions) == 0 && only != "" {
		return nil, unsupported("", "Linux %s is not installed: there is no /boot/vmlinuz-%s, or no /lib/modules/%s", only, only, only)
	}
	if len(versions) == 0 {
		return nil, unsupported("", "no kernel with its modules is installed in /boot and /lib/modules")
	}
	return versions, nil
}

// Boot has the machine start on the image at the next boot. What an earlier call
// did is taken back first.
func (m *Machine) Boot(ctx context.Context, r Request) (err error) {
	line, err := os.ReadFile(m.at("proc/cmdline"))
	if err != nil {
		return err
	}
	if strings.Contains(string(line), "ninefold.image=") {
		return unsupported("start it as usual first: systemctl reboot", "this machine is started on an image now")
	}
	if own, err := os.ReadFile(m.at("etc/kernel/cmdline")); err == nil {
		line = own
	}
	l, dir, err := m.loader(ctx)
	if err != nil {
		return err
	}
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	at, err := mountOf(ctx, m.programs(), dir)
	if err != nil {
		return err
	}
	if err := l.check(at); err != nil {
		return err
	}
	if err := m.room(filepath.Join(dir, filesDir), r); err != nil {
		return err
	}
	if s, ok := l.(interface{ stay() error }); ok && r.Stay {
		if err := s.stay(); err != nil {
			return err
		}
	}
	rec := Record{Image: r.Image, ID: r.ID, Kernel: r.Kernel, Loader: l.name(), Stay: r.Stay, Made: time.Now().UTC().Truncate(time.Second),
		File: filepath.Join(m.State, r.ID+"."+r.Type), Dir: filepath.Join(dir, filesDir)}
	words, err := m.find(ctx, rec.File, r.Type)
	if err != nil {
		return err
	}
	if err := m.back(ctx); err != nil && !errors.Is(err, ErrNothing) {
		return err
	}
	if err := recordKind.Write(m.record(), rec); err != nil {
		return err
	}
	// From here on all that is made is in the record.
	defer func() {
		if err != nil {
			err = errors.Join(err, m.back(context.WithoutCancel(ctx)))
		}
	}()
	m.done("record")
	e := entry{image: r.Image, title: "Ninefold: " + r.Image, kernel: filepath.Join(rec.Dir, "linux"), initrd: filepath.Join(rec.Dir, "initrd"), at: at, stays: r.Stay}
	if err := m.files(ctx, r, rec, e); err != nil {
		return err
	}
	if r.Stay {
		words = append(words, "ninefold.keep="+at.UUID+":"+at.inside(filepath.Join(dir, keepName(l))))
	}
	e.line = Line(string(line), words)
	if err := l.entry(e); err != nil {
		return fmt.Errorf("write an entry for %s: %w", l.name(), err)
	}
	m.done("entry")
	tries := 1
	if r.Stay {
		tries = maxTries
	}
	if err := l.arm(e, tries); err != nil {
		return fmt.Errorf("have %s start the image: %w", l.name(), err)
	}
	m.done("arm")
	return nil
}

// keepName is the file, or what its name begins with, in which a good start is noted.
func keepName(l loader) string {
	if _, ok := l.(grub); ok {
		return "grub/grubenv"
	}
	return "loader/entries/" + entryName
}

// find says how the image is found early in the boot.
func (m *Machine) find(ctx context.Context, file, kind string) ([]string, error) {
	own, err := mountOf(ctx, m.programs(), m.at("/"))
	if err != nil {
		return nil, err
	}
	at, err := mountOf(ctx, m.programs(), m.State)
	if err != nil {
		return nil, err
	}
	words := []string{"ninefold.type=" + kind}
	if at.Target == own.Target {
		return append(words, "ninefold.image="+filepath.Join("/", strings.TrimPrefix(file, filepath.Clean(m.at("/"))))), nil
	}
	if !writable[at.Type] || at.UUID == "" {
		return nil, unsupported("have the state directory on the root file system, or on one with ext4 or xfs", "the image cannot be found early in a boot: %s is on %s (%s)", m.State, at.Source, at.Type)
	}
	return append(words, "ninefold.device="+at.UUID, "ninefold.image="+at.inside(file)), nil
}

// files makes the image, the initramfs and the copy of the kernel.
func (m *Machine) files(ctx context.Context, r Request, rec Record, e entry) error {
	if err := r.Write(ctx, rec.File); err != nil {
		return err
	}
	m.done("image")
	// In the state directory first: only then is its size known.
	work, err := os.MkdirTemp(m.State, "work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	initrd := filepath.Join(work, "initrd")
	if err := makeInitrd(ctx, m.programs(), m.at("etc"), r.Kernel, work, initrd); err != nil {
		return fmt.Errorf("make an initramfs: %w", err)
	}
	kernel := m.at("boot/vmlinuz-" + r.Kernel)
	need, err := sizes(kernel, initrd)
	if err != nil {
		return err
	}
	if err := fits("kernel and initramfs", filepath.Dir(rec.Dir), need); err != nil {
		return err
	}
	if err := os.MkdirAll(rec.Dir, 0o755); err != nil {
		return err
	}
	for to, from := range map[string]string{e.kernel: kernel, e.initrd: initrd} {
		if err := copyFile(to, from); err != nil {
			return err
		}
		m.done(filepath.Base(to))
	}
	return nil
}

// copyFile copies a file into its place, whole and on disk.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return replace.Stream(to, 0o600, func(out *os.File) error {
		_, err := io.Copy(out, in)
		return err
	})
}

// Back takes back all that Boot did, also what it did half. The error wraps
// ErrNothing when there is nothing to take back.
func (m *Machine) Back(ctx context.Context) error {
	if _, err := m.read(); err != nil {
		return err
	}
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return m.back(ctx)
}

// lock makes the state directory, and keeps others from it until unlock is called.
func (m *Machine) lock() (unlock func() error, err error) {
	if err := os.MkdirAll(m.State, 0o700); err != nil {
		return nil, err
	}
	d, err := os.Open(m.State)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", m.State, ErrBusy), d.Close())
	}
	return d.Close, nil
}

func (m *Machine) back(context.Context) error {
	rec, err := m.read()
	if err != nil {
		return err
	}
	l, err := m.loaderOf(rec)
	if err != nil {
		return err
	}
	// First the choice, then what is chosen.
	err = l.disarm()
	if n, always, e := l.left(); errors.Is(err, unix.ENOSPC) && e == nil && n == 0 && !always {
		// Nothing chooses the entry any more, and what it starts makes room to write it out.
		if err = remove(rec.Dir); err == nil {
			err = l.disarm()
		}
	}
	if err != nil {
		return fmt.Errorf("take the entry from %s: %w", l.name(), err)
	}
	m.done("disarm")
	if err := errors.Join(remove(rec.Dir), m.clear()); err != nil {
		return err
	}
	return remove(m.record())
}

// clear removes everything in the state directory but the record.
func (m *Machine) clear() error {
	list, err := os.ReadDir(m.State)
	if err != nil {
		return err
	}
	for _, f := range list {
		if f.Name() != filepath.Base(m.record()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(m.State, f.Name())))
		}
	}
	return err
}

func (m *Machine) read() (Record, error) {
	var rec Record
	err := recordKind.Read(m.record(), &rec)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, ErrNothing
	}
	return rec, err
}

// Status is what was asked for, and what of it is still to come.
type Status struct {
	Record
	// Left is how many of the next starts are on the image, while none was a good
	// one; Always says that all are.
	Left   int  `json:"left"`
	Always bool `json:"always"`
}

// Status says what the next start is on; the error wraps ErrNothing when no
// image was asked for.
func (m *Machine) Status(context.Context) (Status, error) {
	rec, err := m.read()
	if err != nil {
		return Status{}, err
	}
	l, err := m.loaderOf(rec)
	if err != nil {
		return Status{}, err
	}
	s := Status{Record: rec}
	s.Left, s.Always, err = l.left()
	return s, err
}

// loader finds the machine's boot loader, and the directory in which it has
// kernels.
func (m *Machine) loader(ctx context.Context) (loader, string, error) {
	variables := m.at("sys/firmware/efi/efivars")
	if bootedBySystemdBoot(variables) {
		out, err := m.programs()(ctx, "bootctl", "--print-boot-path")
		if err != nil {
			return nil, "", err
		}
		dir := strings.TrimSpace(string(out))
		return systemdBoot{dir, variables, m.programs()}, dir, nil
	}
	if _, err := os.Stat(m.at("boot/grub/grub.cfg")); err == nil {
		return grub{m.at("boot/grub")}, m.at("boot"), nil
	}
	return nil, "", unsupported("", "this machine starts by no boot loader that Ninefold knows: it has no %s, and systemd-boot did not start it", m.at("boot/grub/grub.cfg"))
}

func (m *Machine) loaderOf(rec Record) (loader, error) {
	dir := filepath.Dir(rec.Dir)
	switch rec.Loader {
	case grub{}.name():
		return grub{filepath.Join(dir, "grub")}, nil
	case systemdBoot{}.name():
		return systemdBoot{dir, m.at("sys/firmware/efi/efivars"), m.programs()}, nil
	}
	return nil, fmt.Errorf("%s: %w: loader %q", m.record(), record.ErrVersion, rec.Loader)
}
